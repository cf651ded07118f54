"""Ctrl-C between two answers, never within one: what is printed stays whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def whole_write() -> Iterator[None]:
    """Hold one SIGINT back until the block has ended; a second raises KeyboardInterrupt at once."""
    held = 0

    def hold(number: int, frame: object) -> None:
        nonlocal held
        del number, frame
        held += 1
        if held > 1:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        # Ignored, another's, or not ours to set: nothing is raised within the block.
        yield
        return
    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        raise KeyboardInterrupt
