"""An encoded picture's bytes, of a path or from memory: what no picture can be is refused before it is read."""

from __future__ import annotations

import os
import stat
from io import BytesIO
from pathlib import Path
from typing import IO

from edge_runtime.errors import ImageError, one_line
from edge_runtime.images.memory import MAX_PIXELS

# As many as an uncompressed RGBA picture of the pixel limit has: what is longer is no picture, or never ends.
_FILE_BYTES_PER_PIXEL = 4


def read_encoded(path: str | os.PathLike[str]) -> bytes:
    """All bytes of the picture's file at `path`.

    Raises ImageError as `decode` does of a path that cannot be opened or of more bytes than a picture has.
    """
    name = one_line(os.fsdecode(path)) or "''"
    with open_encoded(path, name) as file:
        try:
            return file.read()
        except OSError as error:
            reason = error.strerror or error
            raise ImageError(f"{name} cannot be read: {reason}", "check the disk it is on", "unreadable") from None


def open_encoded(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview, name: str, *, max_pixels: int = MAX_PIXELS
) -> IO[bytes]:
    """The encoded picture at a path, or in memory, open for reading; `name` is what an error calls it.

    Raises ImageError: no such file, not a regular file, one that may not be read, or more than 4 bytes for each of
    `max_pixels` pixels, or of those of the usual limit where it is lower.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return BytesIO(source if isinstance(source, bytes) else bytes(source))
    path = Path(os.fsdecode(source))
    max_bytes = _FILE_BYTES_PER_PIXEL * max(max_pixels, MAX_PIXELS)
    try:
        # Opening a device may do anything: it is looked at before, and again after, as names can change in between.
        _check_regular(os.stat(source), name, max_bytes)  # noqa: PTH116 (Path("") would be the current folder)
        file = open(source, "rb", opener=_open_without_waiting)  # noqa: SIM115
        try:
            _check_regular(os.fstat(file.fileno()), name, max_bytes)
        except ImageError:
            file.close()
            raise
        return file
    except FileNotFoundError:
        if path.is_symlink():
            text = f"{name} is a link to a file that does not exist"
            raise ImageError(text, "restore what it points to", "missing") from None
        raise ImageError(f"{name} does not exist", "check the path", "missing") from None
    except PermissionError:
        raise ImageError(f"{name} may not be read", "check its permissions and its folder's", "unreadable") from None
    # ValueError: a path with a null character.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{name} cannot be opened: {reason}", "check the path", "unreadable") from None


def _open_without_waiting(path: str, flags: int) -> int:
    # A pipe would wait for its writer; where there is no such flag, there are no pipes with names.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_regular(status: os.stat_result, name: str, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise ImageError(f"{name} is {what}", "give the path of an image file", "no-file")
    if status.st_size > max_bytes:
        size_mb, limit_mb = status.st_size / 1e6, max_bytes / 1e6
        text = f"{name} has {size_mb:,.0f} MB; the limit is {limit_mb:,.0f} MB"
        raise ImageError(text, "is it an image at all?", "oversized")
