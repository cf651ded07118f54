"""How often a model is right, and where that figure comes from: figures of different sources are not compared."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from edge_benchmarks.plain_data import PlainData
from edge_runtime import CROSS_VALIDATED, Accuracy, ModelCard

AccuracySource: TypeAlias = Literal["measured", "recorded", "published"]


@dataclass(frozen=True, slots=True)
class SourcedAccuracy(PlainData):
    """Top-1 accuracy in 0..1 on `n` images of `where`; None for `n` where the source does not say.

    `source` is measured in this benchmark, recorded in the model's card by its export, or published with the
    backbone's pretrained weights. `images` tells the images from others of the same name, "" where nothing does.
    """

    value: float
    n: int | None
    source: AccuracySource
    where: str
    images: str = ""
    computed: ClassVar = {"interval_95": "interval"}

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % Wilson interval, None where n is not known."""
        return None if self.n is None else Accuracy.near(self.value, self.n).interval

    @property
    def measured_on(self) -> tuple[str, str, str]:
        """What two figures that may be compared have in common."""
        return self.source, self.where, self.images

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
            where = f"{card.data.get('name') or 'its data'}, {split}"
            return SourcedAccuracy(float(value), n, "recorded", where, _recorded_images(card, split, n))
    return None


def measured_accuracy(found: Accuracy, root: Path, split: str, paths: Iterable[str]) -> SourcedAccuracy:
    """What was found here on the images of a `split` at `paths` below `root`."""
    root = root.resolve()
    # Of runs that split the same folder by other seeds, each is asked about its own.
    same = images_hash(root, sorted(paths))
    return SourcedAccuracy(found.share, found.n, "measured", f"{root.name}, {split}", same)


def images_hash(*told: Any) -> str:
    """Sixteen hex digits that stand for what tells images from others, of plain values."""
    return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()[:16]


def _recorded_images(card: ModelCard, split: str, n: int) -> str:
    """By the data's fingerprint, and by how the split was drawn where it was: then other seeds give other images."""
    data = card.data
    if not data.get("fingerprint"):
        return ""
    how, limit = str(data.get("split", "")), data.get("limit")
    # Folds have every image once, whatever the seed. An ensemble is scored on what its members have in common: n.
    is_whole = split == CROSS_VALIDATED or re.search(rf"\b{split}\b[^;]* as found", how) is not None
    drawn = () if is_whole and limit is None else (how, data.get("seed"), limit, data.get("group_by"))
    return images_hash(data["fingerprint"], split, n, *drawn)
