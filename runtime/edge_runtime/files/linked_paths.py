"""Where files truly lie, so that one file is known again whichever links lead to it."""

from __future__ import annotations

import os


class TruePlaces:
    """Makes paths comparable: links to folders are followed, each folder's once, and the file keeps its own name.

    A picture may be a link into a store that calls it otherwise: two of those are two pictures.
    """

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def __call__(self, path: str | os.PathLike[str]) -> str:
        """The path of the file at `path` without links to folders, and without `.` and `..`."""
        folder, name = os.path.split(path)
        true = self._folders.get(folder)
        if true is None:
            true = self._folders.setdefault(folder, os.path.realpath(folder))
        return os.path.join(true, name)  # noqa: PTH118 (Path is 20 times slower, and this runs once an image)
