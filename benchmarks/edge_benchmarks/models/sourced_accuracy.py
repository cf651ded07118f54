"""How often a model is right, and where that figure comes from: figures of different sources are not compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from edge_benchmarks.plain_data import PlainData
from edge_runtime import CROSS_VALIDATED, Accuracy, ModelCard

AccuracySource: TypeAlias = Literal["measured", "recorded", "published"]


@dataclass(frozen=True, slots=True)
class SourcedAccuracy(PlainData):
    """Top-1 accuracy in 0..1 on `n` images of `where`; None for `n` where the source does not say.

    `source` is measured in this benchmark, recorded in the model's card by its export, or published with the
    backbone's pretrained weights.
    """

    value: float
    n: int | None
    source: AccuracySource
    where: str
    computed: ClassVar = {"interval_95": "interval"}

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % Wilson interval, None where n is not known."""
        return None if self.n is None else Accuracy.near(self.value, self.n).interval

    def describe_source(self) -> str:
        """Where the figure comes from, in words."""
        return f"{self.source}, {self.where}{f', n {self.n:,}' if self.n else ''}"

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise ValueError(f"an accuracy of {self.value}")


def recorded_accuracy(card: ModelCard) -> SourcedAccuracy | None:
    """What the export recorded: of the test split, of validation, or cross-validated; None without any."""
    for split in ("test", "val", CROSS_VALIDATED):
        figures = card.metrics.get(split, {})
        value, n = figures.get("accuracy"), figures.get("n")
        if isinstance(value, float | int) and isinstance(n, int) and n > 0 and 0 <= value <= 1:
            return SourcedAccuracy(float(value), n, "recorded", f"{card.data.get('name') or 'its data'}, {split}")
    return None
