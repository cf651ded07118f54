"""What a run is told that is one of several in a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_runtime import UsageError, as_kind


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPart:
    """How a run shares with the other runs of a sweep.

    `embeddings` is a folder in which runs of one frozen backbone keep what it saw, so that it is computed once; it is
    made where it is missing. With `spares_test` the test images are not looked at: `remeasure` does, for the run that
    was chosen. `at_once` is how many runs share this machine's memory.

    Raises UsageError for a value of another kind.
    """

    embeddings: Path | None = None
    spares_test: bool = False
    at_once: int = 1

    def __post_init__(self) -> None:
        kinds = (("embeddings", Path | None), ("spares_test", bool), ("at_once", int))
        for name, kind in kinds:
            object.__setattr__(self, name, as_kind(getattr(self, name), kind, f"`{name}`"))
        if self.at_once < 1:
            raise UsageError(f"`at_once` {self.at_once}: at least 1 is needed")


WHOLE = SweepPart()
