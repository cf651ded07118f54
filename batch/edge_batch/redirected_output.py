"""What other code prints, into a log, while what we say stays on the screen."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from edge_runtime import LossyFile


@contextmanager
def output_to(path: Path) -> Iterator[TextIO]:
    """What is printed, by C++ and by child processes too, goes to the log at `path`, which is given; sys.stderr stays.

    Raises OSError where it cannot be opened.
    """
    log = io.TextIOWrapper(LossyFile(path, "ab"), encoding="utf-8", errors="backslashreplace", write_through=True)
    with log, _redirected(log):
        yield log


@contextmanager
def _redirected(log: TextIO) -> Iterator[None]:
    before = sys.stdout, sys.stderr
    for stream in before:
        stream.flush()
    kept = {fd: copy for fd in (1, 2) if (copy := _copy(fd)) is not None}
    ours: list[TextIO] = []
    try:
        # Ray prints on stdout that a worker died.
        sys.stdout = log
        if 2 in kept and _is_fd_2(before[1]):
            encoding, screen = before[1].encoding, LossyFile(os.dup(kept[2]), "wb")
            ours.append(io.TextIOWrapper(screen, encoding=encoding, errors="backslashreplace", line_buffering=True))
            sys.stderr = ours[0]
        for fd in kept:
            os.dup2(log.fileno(), fd)
        yield
    finally:
        for fd, copy in kept.items():
            os.dup2(copy, fd)
            os.close(copy)
        sys.stdout, sys.stderr = before
        for stream in ours:
            stream.close()


def _copy(fd: int) -> int | None:
    with suppress(OSError):  # the caller closed it
        return os.dup(fd)
    return None


def _is_fd_2(stream: Any) -> bool:
    with suppress(OSError, ValueError, AttributeError):
        return bool(stream.fileno() == 2)
    return False
