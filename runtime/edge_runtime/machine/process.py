"""What `edge` wants of a process that is its own. Each command asks for it first; the library never does.

    from edge_runtime import prepare_process
    prepare_process()

in a program of one's own gives it what the commands have; without it nothing outside the library is changed.
"""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from functools import cache

_prepared = False


def prepare_process() -> None:
    """Make this process `edge`'s own, for good; it must come before onnxruntime and torch are imported.

    - onnxruntime sends no telemetry, which is on by default on Linux since 1.29 (`ORT_DISABLE_TELEMETRY`);
    - torch's threads wait for each other without keeping a core busy (`GOMP_SPINCOUNT`, where it is not set);
    - of a damaged picture Pillow warns and logs nothing, and libtiff prints nothing: an ImageError says it once;
    - while it trains on the CPU, freed memory is kept for the next step, not given back to the system.

    The environment is handed on to processes started from this one.
    """
    global _prepared  # noqa: PLW0603 (a process is one thing)
    _prepared = True
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # torch's threads (GNU OpenMP) spin while they wait. This much costs nothing on an idle machine; the default, 30
    # times as much, makes training beside other work several times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # It warns of odd EXIF, tags and sizes; what matters of it edge says in its own words.
    warnings.filterwarnings("ignore", module=r"PIL\b")


def is_prepared() -> bool:
    """Whether `prepare_process` was called: whether what concerns the whole process may be set."""
    return _prepared


def quiet_decoding(kind: str) -> None:
    """Keep stderr free of what decoding a file of that kind prints there, where the process is `edge`'s own."""
    if _prepared:
        _silence_pillow()
        if kind == "TIFF":
            _silence_libtiff()


@cache
def _silence_pillow() -> None:
    import logging

    # With no handler at all, Python prints a library's errors.
    logging.getLogger("PIL").addHandler(logging.NullHandler())


@cache
def _silence_libtiff() -> None:
    # A line for each bad row, straight from C; Pillow raises the same as an exception, and has no switch for it.
    import ctypes

    from PIL import _imaging

    # Where it is built into Pillow, or there is none, it goes on printing.
    with suppress(OSError, AttributeError):
        set_handler = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
        set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
        set_handler(None)
