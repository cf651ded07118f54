"""How a list of images names them: relative to its own folder, with forward slashes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edge_runtime.errors import DataError


def way(root: Path, base: Path) -> str:
    """What stands before the paths below `root` in a list that lies in `base`; "" where the two are one folder."""
    try:
        found = os.path.relpath(root, base)
        if found.startswith(os.pardir):
            # From a linked folder, the one above is that of the link's target.
            found = os.path.relpath(root.resolve(), base.resolve())
    except ValueError:  # another drive
        found = str(root.absolute())
    return "" if found == os.curdir else f"{Path(found).as_posix().rstrip('/')}/"


class ListPaths:
    """Paths as a list in the folder `base` names them; quick where those of a folder come one after another."""

    def __init__(self, base: Path) -> None:
        self._base = base.absolute()
        self._last: tuple[str, str] | None = None

    def __call__(self, path: str) -> str:
        """The way to the file at `path`, which is relative to the folder the program runs in, or absolute."""
        folder, name = os.path.split(path)
        if self._last is None or self._last[0] != folder:
            self._last = (folder, way(Path(folder or os.curdir), self._base))
        return self._last[1] + name


def require_utf_8(paths: Sequence[str]) -> None:
    """Raise DataError where a list, which is UTF-8, cannot hold one of the names."""
    broken = [path for path in paths if not is_utf_8(path)]
    if broken:
        raise DataError(f"{len(broken):,} names are not valid UTF-8, {broken[0]!r} for one", "rename the files")


def is_utf_8(path: str) -> bool:
    """Whether a list, which is UTF-8, can hold the name."""
    return path.isascii() or not any("\ud800" <= char <= "\udfff" for char in path)
