"""Where a run's images come from: folders, manifests, or a set known by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_data.sets.cifar10 import cifar10_folder
from edge_data.sets.shapes import shapes_folder
from edge_runtime import DataError, is_manifest

DATA_SETS = ("shapes", "cifar10")


@dataclass(frozen=True, slots=True)
class DataSource:
    """A data folder or manifest, the others that are one set with it, and the name they go by in run names."""

    name: str
    root: Path
    image_size_px: int | None = None
    others: tuple[Path, ...] = ()

    @property
    def places(self) -> tuple[Path, ...]:
        """All of them, in the order named."""
        return self.root, *self.others


def find_data(data: str | Sequence[str]) -> DataSource:
    """The folder or manifest `data`, or the set of that name, or several; a folder of that name here comes first.

    Raises:
        DataError: neither a folder, a manifest nor the name of a set.
        EdgeError: the set cannot be downloaded or written to the cache.
    """
    found = [_find_one(each) for each in ([data] if isinstance(data, str) else data)]
    if not found:
        raise DataError("`data` is empty", "name a folder or a manifest")
    if len(found) == 1:
        return found[0]
    name = "+".join(dict.fromkeys(each.name for each in found))
    return DataSource(name, found[0].root, others=tuple(each.root for each in found[1:]))


def _find_one(data: str) -> DataSource:
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
                f"`data` {data}: no such folder or manifest",
                f"name a folder of class folders, a list of labelled images, or {' or '.join(DATA_SETS)}",
            )
        name = path.stem if is_manifest(path) else path.resolve().name
        return DataSource(name or "data", path)
    if data == "cifar10":
        return DataSource("cifar10", cifar10_folder())
    return DataSource("shapes", shapes_folder(), image_size_px=64)
