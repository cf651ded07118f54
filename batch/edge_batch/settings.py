"""How a batch is to be classified."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from edge_runtime import UsageError, as_kind


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """What is asked for beside the pictures; the first four are what answers depend on.

    `top` labels are kept of each answer; a label withheld for `min_confidence` is `unknown`; at most the share
    `reject_unlike` of known pictures is, too, for being unlike training; with `embedding` each row has its vector.
    `address` is a running cluster's, `auto` for the one on this machine, None for one that is started and ended here;
    `workers` are as many as the cluster has cores where that is None. `keys` are files of public keys.

    Raises UsageError where a value makes no sense.
    """

    top: int = 5
    min_confidence: float = 0.0
    reject_unlike: float | None = None
    embedding: bool = False
    address: str | None = None
    workers: int | None = None
    keys: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(BatchSettings).items():
            object.__setattr__(self, name, as_kind(getattr(self, name), kind, f"`{name}`"))
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"`threads` {self.workers}: at least 1 is needed")
        if self.address is not None and "://" in self.address:
            raise UsageError(
                f"`address` {self.address}: a cluster is joined from one of its own machines",
                "run it there with `address` auto, or HOST:PORT of its head",
            )

    def of_answers(self) -> dict[str, Any]:
        """The settings that answers depend on, as JSON."""
        return {
            "top": self.top,
            "min_confidence": self.min_confidence,
            "reject_unlike": self.reject_unlike,
            "embedding": self.embedding,
        }
