"""What Pillow and the libraries below it print by themselves: an ImageError says it once, in one line."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import cache

__all__ = ["silence"]


@cache
def silence(kind: str) -> None:
    """Keep stderr free of what decoding a file of that kind prints there; called again, it does nothing."""
    # With no handler at all, Python prints a library's errors; a program's own handlers get them still.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    if kind == "TIFF":
        _silence_libtiff()


def _silence_libtiff() -> None:
    # A line for each bad row, straight from C; Pillow raises the same as an exception, and has no switch for it.
    import ctypes

    from PIL import _imaging

    # Where it is built into Pillow, or there is none, it goes on printing.
    with suppress(OSError, AttributeError):
        set_handler = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
        set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
        set_handler(None)
