"""How much longer one piece of work takes than another: the only thing about time that holds on every machine."""

from __future__ import annotations

import time
from collections.abc import Callable


def ratio(large: Callable[[], object], small: Callable[[], object]) -> float:
    """The processor's time of `large` over that of `small`: the least of three turns of both, side by side."""
    found = [(_processor_s(large), _processor_s(small)) for _ in range(3)]
    return min(first for first, _ in found) / min(second for _, second in found)


def no_rest(seconds: float) -> None:
    """In place of `time.sleep`, where nothing is to be waited for."""
    raise AssertionError(f"slept for {seconds} seconds")


def _processor_s(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
