"""How a run tells what it is doing, whoever listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What `train` calls; the command line draws it, a notebook may draw it otherwise."""

    def say(self, text: str) -> None:
        """One line a person should know: what was chosen and why, or the result of an epoch."""

    def begin(self, task: str, total: int, unit: str = "images") -> None:
        """A task of `total` images (or of another unit) starts; it replaces the one before."""

    def advance(self, count: int = 1) -> None:
        """So many more of the task are done."""

    def end(self) -> None:
        """The task is over."""


class Silence:
    """A Progress that says nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def begin(self, task: str, total: int, unit: str = "images") -> None:
        """Nothing."""

    def advance(self, count: int = 1) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""
