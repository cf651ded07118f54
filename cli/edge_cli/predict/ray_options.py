"""edge predict --engine ray: what was typed for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_batch import BatchSettings
from edge_cli.quantities import parse_share


@dataclass(frozen=True, slots=True)
class RayOptions:
    """What was typed, beside the model; `workers` are --threads."""

    data: Sequence[str]
    out: Path | None
    address: str | None
    top: int | None
    min_confidence: float
    reject_unlike: str | None
    embedding: bool = False
    workers: int | None = None
    keys: tuple[Path, ...] = ()
    plan: bool = False
    cores: str | None = None
    bench: Path | None = None

    @property
    def of_answers(self) -> tuple[str, ...]:
        """The flags that were given of those that say how to answer, which a plan cannot heed."""
        given = {
            "--out": self.out is not None,
            "--address": self.address is not None,
            "--top": self.top is not None,
            "--min-confidence": self.min_confidence > 0,
            "--reject-unlike": self.reject_unlike is not None,
            "--embedding": self.embedding,
            "--threads": self.workers is not None,
        }
        return tuple(name for name, there in given.items() if there)

    def settings(self) -> BatchSettings:
        """The batch's settings. Raises UsageError."""
        share = self.reject_unlike
        return BatchSettings(
            top=BatchSettings().top if self.top is None else self.top,
            min_confidence=self.min_confidence,
            reject_unlike=None if share is None else parse_share("--reject-unlike", share),
            embedding=self.embedding,
            address=self.address,
            workers=self.workers,
            keys=self.keys,
        )
