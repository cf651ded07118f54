"""The files below a folder: every folder once, in the order people count, and which of them are images by name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_runtime.errors import DataError
from edge_runtime.images.kind import FORMAT_OF_SUFFIX

IMAGE_SUFFIXES = frozenset(FORMAT_OF_SUFFIX)
# What edge explain draws, and lays beside the picture: taken for another picture it would train, and change the data.
DRAWING_SUFFIX = ".explained.png"


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether the name says image: one of `IMAGE_SUFFIXES` in any letter case, and not a dot-entry."""
    name = os.path.basename(path)  # noqa: PTH119 (Path is 20 times slower, and this runs once per file)
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122


def is_ignored(name: str) -> bool:
    """Whether a file or folder of that name is never looked at."""
    return name.startswith(".") or name == "__MACOSX" or name.endswith(DRAWING_SUFFIX)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; a loop of links is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def unreadable(path: str | Path, error: OSError) -> DataError:
    """The error that names what cannot be read."""
    return DataError(f"{path} cannot be read: {error.strerror}", "check its permissions and the disk")


def natural_key(name: str) -> tuple[str, str]:
    """Sorts names as people count: `2.jpg` before `10.jpg`; of names that count the same, `01.jpg` before `1.jpg`."""
    # A number sorts by how many digits it has, then by them; NUL, because it ends the letters before it.
    return re.sub("[0-9]+", lambda digits: _counted(digits[0].lstrip("0")), name), name


def _counted(digits: str) -> str:
    return f"\0{chr(len(digits))}{digits}"


def _stop(folder: str, error: OSError) -> None:
    raise unreadable(folder, error) from None


def walk_folder(
    folder: str, *, on_error: Callable[[str, OSError], None] = _stop, links: bool = True, apart: Path | None = None
) -> Iterator[str]:
    """The path of every file below `folder`, beginning with it, each folder's entries in natural order.

    Dot-entries, drawings of edge's own, pipes and devices are left out. Links are followed, link loops are not; a link
    to nowhere is a file, for whoever opens it to name. Without `links` none is followed or listed; the folder `apart`,
    resolved, is left out.
    A folder that cannot be read is handed to `on_error`, which may go on; by default it is a DataError. Beside the
    names in the folders that lead to a file, nothing is kept in memory.
    """
    seen: set[tuple[int, int]] = set()

    def names(place: str) -> Iterator[str]:
        try:
            status = os.stat(place)  # noqa: PTH116 (in step with scandir's strings)
            if (status.st_dev, status.st_ino) in seen:
                return iter(())
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(place) as entries:
                found = [name for entry in entries if (name := _listed(entry, place, links))]
        except OSError as error:
            on_error(place, error)
            return iter(())
        return iter(sorted(found, key=lambda name: natural_key(name.rstrip("/"))))

    # A stack of our own: folders may lie deeper than Python recurses.
    pending = [(folder, names(folder))]
    while pending:
        place, left = pending[-1]
        name = next(left, None)
        if name is None:
            pending.pop()
            continue
        path = os.path.join(place, name.rstrip("/"))  # noqa: PTH118
        if not name.endswith("/"):
            yield path
        elif apart is None or Path(path).resolve() != apart:
            pending.append((path, names(path)))


def _listed(entry: os.DirEntry[str], place: str, links: bool) -> str:
    """The entry's name, with "/" behind that of a folder; empty where it is nothing to walk."""
    if is_ignored(entry.name) or (not links and entry.is_symlink()):
        return ""
    if is_folder(entry):
        return "" if _leads_above(entry, place) else f"{entry.name}/"
    return entry.name if _is_file(entry) else ""


def folders_in(place: str) -> list[str]:
    """The names of the folders in a folder, and of links to such, but for dot-entries and links that lead above it.

    Raises OSError where it cannot be read.
    """
    with os.scandir(place) as entries:
        return [
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and is_folder(entry) and not _leads_above(entry, place)
        ]


def _leads_above(entry: os.DirEntry[str], place: str) -> bool:
    """Whether it is a link that leads above its own folder: followed, it would bring what lies around it in again."""
    return entry.is_symlink() and Path(place).resolve().is_relative_to(Path(entry.path).resolve())


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists())
    except OSError:
        return True
