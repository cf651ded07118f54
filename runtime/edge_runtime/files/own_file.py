"""Files that decide what this user's program does: read only where nobody else has a say in what they hold."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from io import BufferedReader
from pathlib import Path

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def open_own(path: Path, *, owners: Collection[int] = ()) -> BufferedReader:
    """The file, open; of what is open the owner is asked: this user, root, or one of `owners`.

    Raises OSError where it cannot be read, is a link or no regular file, belongs to somebody else, or may be written by
    others (on Windows, whose files say nothing of the kind, the last two are not asked).
    """
    file = open(path, "rb", opener=_open_no_link)  # noqa: SIM115
    status = os.fstat(file.fileno())
    own = not hasattr(os, "geteuid") or (
        status.st_uid in (os.geteuid(), 0, *owners)
        and not status.st_mode & _OTHERS_MAY_WRITE
        and stat.S_ISREG(status.st_mode)
    )
    if not own:
        file.close()
        raise PermissionError(f"{path} is not this user's alone")
    return file


def keep_from_others(path: Path) -> None:
    """Take others' right to write the file away: where the umask lets a group write, it would be left alone."""
    path.chmod(path.stat().st_mode & ~_OTHERS_MAY_WRITE)


def _open_no_link(path: str, flags: int) -> int:
    # A pipe would wait for its writer.
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
