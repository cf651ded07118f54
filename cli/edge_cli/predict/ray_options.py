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
    top: int
    min_confidence: float
    reject_unlike: str | None
    embedding: bool = False
    workers: int | None = None
    keys: tuple[Path, ...] = ()
    plan: bool = False
    cores: str | None = None
    bench: Path | None = None

    def settings(self) -> BatchSettings:
        """The batch's settings. Raises UsageError."""
        share = self.reject_unlike
        return BatchSettings(
            top=self.top,
            min_confidence=self.min_confidence,
            reject_unlike=None if share is None else parse_share("--reject-unlike", share),
            embedding=self.embedding,
            address=self.address,
            workers=self.workers,
            keys=self.keys,
        )
