"""Files that appear whole or not at all: written beside their place, then renamed into it; and one process's alone."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edge_runtime.errors import OutputError

# Characters, of four bytes at most in UTF-8, where file systems take 255.
_KEPT = 50


@contextmanager
def atomic_path(target: str | os.PathLike[str], *, parameter: str = "out") -> Iterator[Path]:
    """A temporary path beside `target`; when the block ends well it becomes `target`, else it is removed.

    A reader never sees half a file, and a kill at any moment leaves what was there before. The data is
    on the disk before the rename (fsync), so the promise survives a power cut too. `parameter` is what an
    error's hint names.

    Raises:
        OutputError: the folder is missing or not writable, the disk is full, or `target` is no file, such
            as a folder or a device.
    """
    target = Path(target)
    # Not the process number: threads share it, and so do containers that share a folder. Of a long name the beginning,
    # since the target's may have all of the bytes that a name can have.
    temporary = target.with_name(f".{target.name[:_KEPT]}.{secrets.token_hex(4)}.tmp")
    try:
        # Renaming onto /dev/null would replace the device itself.
        if target.exists() and not target.is_file():
            raise OutputError(f"cannot write {target}: it is not a regular file", f"name a file with `{parameter}`")
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        # A path outside the target's folder is somebody else's failure and keeps its own words.
        if error.filename and Path(error.filename).parent != target.parent:
            raise
        raise OutputError(
            f"cannot write {target}: {error.strerror or error}",
            f"choose a shorter name with `{parameter}`"
            if error.errno == errno.ENAMETOOLONG
            else f"make room or choose another folder with `{parameter}`",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 `text` to `target`, whole or not at all.

    What of a file's name is not UTF-8 is written as its escape, which in JSON reads back as it was.
    """
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_json(target: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as an indented JSON document, whole or not at all; NaN is refused, as JSON has none."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` on the disk, where folders can be synced."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def lock_file(file: int) -> bool:
    """Whether this process has the lock on an open file from now on, or no locks can be had."""
    try:
        import fcntl
    except ImportError:  # Windows: two processes are not kept apart
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    return True
