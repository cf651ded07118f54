"""New pictures in a watched folder, once they are whole.

The folder is looked at again and again, with the standard library alone: that works on every system, on cards and on
network drives, where the kernel's own notices do not come.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import ImageError
from edge_runtime.files.walk import is_image, walk_folder
from edge_runtime.watched_folder.journal import Journal

# Looks at an unchanging file that cannot be decoded before it counts as bad: its writer may only be slow.
PATIENCE_LOOKS = 5


@dataclass(frozen=True, slots=True)
class Landed:
    """A file as one look found it; `name` is its posix path below the watched folder."""

    path: Path
    name: str
    size_bytes: int
    changed_ns: int

    def is_unchanged(self) -> bool:
        """Whether it is still there as it was found."""
        try:
            status = os.lstat(self.path)
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size_bytes, self.changed_ns)

    def digest(self) -> str:
        """SHA-256 of its content. Raises OSError."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class Landing:
    """Looks for pictures below `folder` that `journal` does not know.

    Files named as images count, at any depth; dot-entries, links and what lies in the folder `apart` do not.
    """

    def __init__(self, folder: Path, journal: Journal, *, apart: Path | None = None) -> None:
        self._folder = folder
        self._journal = journal
        self._apart = None if apart is None else apart.resolve()
        self._waiting: dict[str, tuple[Landed, int]] = {}

    def look(self) -> list[Landed]:
        """The new pictures that are as they were at the look before, in natural order.

        Raises ImageError where the folder itself is gone.
        """
        waiting: dict[str, tuple[Landed, int]] = {}
        ready = []
        for landed in self._there():
            if self._journal.knows(landed.name, landed.size_bytes, landed.changed_ns):
                continue
            before = self._waiting.get(landed.name)
            waiting[landed.name] = before if before is not None and before[0] == landed else (landed, 0)
            if waiting[landed.name] is before:
                ready.append(landed)
        self._waiting = waiting
        return ready

    def gives_up(self, landed: Landed) -> bool:
        """Count that it could not be decoded; whether that was often enough to call it bad."""
        tries = self._waiting.get(landed.name, (landed, 0))[1] + 1
        self._waiting[landed.name] = (landed, tries)
        return tries >= PATIENCE_LOOKS

    def _there(self) -> Iterator[Landed]:
        top = os.fspath(self._folder)
        start = len(os.path.join(top, ""))  # noqa: PTH118 (with the separator, unless it is the root)

        def tell(place: str, error: OSError) -> None:
            # One inside may be gone since its folder was read, or belong to another user.
            if place == top:
                raise ImageError(
                    f"{place} cannot be read: {error.strerror}", "is its disk still there?", "unreadable"
                ) from None

        for place in walk_folder(top, on_error=tell, links=False, apart=self._apart):
            if is_image(place):
                with suppress(OSError):
                    status = os.lstat(place)
                    name = place[start:].replace(os.sep, "/")
                    yield Landed(Path(place), name, status.st_size, status.st_mtime_ns)
