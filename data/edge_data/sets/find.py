"""Where a run's images come from: a folder, or a set known by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_data.sets.cifar10 import cifar10_folder
from edge_data.sets.shapes import shapes_folder
from edge_runtime import DataError

DATA_SETS = ("shapes", "cifar10")


@dataclass(frozen=True, slots=True)
class DataSource:
    """A data folder and the name it goes by in run names and reports."""

    name: str
    root: Path
    image_size_px: int | None = None


def find_data(data: str) -> DataSource:
    """The folder `data`, or the set of that name; a folder of that name here comes first.

    Raises:
        DataError: neither a folder nor the name of a set.
        EdgeError: the set cannot be downloaded or written to the cache.
    """
    if not data.strip():
        raise DataError("`data` is empty", "name a folder; an unset variable in a script, perhaps?")
    try:
        path = Path(data).expanduser()
        exists = path.exists()
    except (OSError, RuntimeError) as error:
        # RuntimeError: the home folder of a user there is none of.
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"`data` {data} cannot be read: {reason}", "check the path") from None
    if exists or data not in DATA_SETS:
        if not exists:
            raise DataError(
                f"`data` {data}: no such folder",
                f"name a folder of class folders, or {' or '.join(DATA_SETS)}",
            )
        return DataSource(path.resolve().name or "data", path)
    if data == "cifar10":
        return DataSource("cifar10", cifar10_folder())
    return DataSource("shapes", shapes_folder(), image_size_px=64)
