"""What a command line of `edge bench` came to, for the tests of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Bench", "Done"]

Bench = Callable[..., "Done"]


@dataclass(frozen=True)
class Done:
    """What a command line came to."""

    returncode: int
    stdout: str
    stderr: str
