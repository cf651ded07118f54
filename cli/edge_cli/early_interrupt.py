"""Ctrl-C where nothing has to be taken down: it ends the process at once, in one line."""

from __future__ import annotations

import os
import signal

INTERRUPTED = 130


def end_on_interrupt() -> None:
    """From now on SIGINT ends the process at once, with a line; one that its parent has it ignore stays ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_on_interrupt() -> None:
    """From now on SIGINT raises KeyboardInterrupt again, where it ended the process."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: object) -> None:
    del number, frame
    try:
        os.write(2, b"error: interrupted\n")
    finally:
        os._exit(INTERRUPTED)
