"""The tables of the report, and figures as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime import ClassMetrics, Metrics
from edge_train.report.diagnosis import EpochFigures
from edge_train.run.criterion import NAMES
from edge_train.settings import Criterion

PAIRS_SHOWN = 20
_CLASS_HEAD = (
    "class",
    "precision",
    "sensitivity",
    "interval",
    "specificity",
    "interval",
    "F1",
    "AUROC",
    "avg. precision",
    "n",
    "trained on",
)


@dataclass(frozen=True, slots=True)
class Table:
    """Its first `names` columns hold names, the others numbers."""

    caption: str
    head: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]
    names: int = 1


def percent(share: float | None) -> str:
    """A share in per cent."""
    return "–" if share is None else f"{share:.1%}"


def interval(bounds: Sequence[float] | None) -> str:
    """A pair of shares in per cent."""
    return "–" if bounds is None else f"{bounds[0]:.1%} to {bounds[1]:.1%}"


def decimal(value: float | None) -> str:
    """A figure with three decimals."""
    return "–" if value is None else f"{value:.3f}"


def count_text(number: int) -> str:
    """A number, from a million on in millions."""
    return f"{number / 1e6:.1f} M" if number >= 1e6 else f"{number:,}"


def duration_text(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def class_table(metrics: Metrics, training: Mapping[str, int]) -> Table:
    """A row per class, worst F1 first; `training` says how many images of each were learned from."""
    return Table(
        "Worst F1 first. Precision: right among what it called so. Sensitivity (recall): found among what is so. "
        "Specificity: left alone among all others. AUROC and average precision: that class against the rest, at any "
        "threshold. Intervals are 95 %.",
        _CLASS_HEAD,
        [
            (*_class_cells(row), training.get(row.label, 0))
            for row in sorted(metrics.per_class, key=lambda row: (row.f1 is None, row.f1 or 0.0))
        ],
    )


def pair_table(metrics: Metrics) -> Table:
    """The pairs of classes most often confused."""
    caption = f"The pairs most often confused, of {len(metrics.labels)} classes."
    return Table(caption, ("picture of", "answered", "images", "of that class"), list(_pairs(metrics)), names=2)


def _class_cells(row: ClassMetrics) -> tuple[object, ...]:
    return (
        row.label,
        percent(row.precision),
        percent(row.recall),
        interval(row.recall_interval_95),
        percent(row.specificity),
        interval(row.specificity_interval_95),
        percent(row.f1),
        decimal(row.auroc),
        decimal(row.average_precision),
        row.support,
    )


def _pairs(metrics: Metrics) -> Iterable[tuple[object, ...]]:
    wrong = metrics.confusion.copy()
    np.fill_diagonal(wrong, 0)
    support = metrics.confusion.sum(axis=1)
    order = np.argsort(wrong, axis=None, kind="stable")[::-1][:PAIRS_SHOWN]
    for truth, said in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if count := int(wrong[truth, said]):
            yield metrics.labels[truth], metrics.labels[said], count, percent(count / int(support[truth]))


def counted_table(labels: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> Table:
    """The images of each label in each split; `counts` maps split, then label, to images."""
    splits = counts.values()
    rows = [(label, *(split.get(label, 0) for split in splits)) for label in labels]
    sums = ("all", *(sum(split.values()) for split in splits))
    return Table("Images of each class.", ("class", *counts), [sums, *rows])


def epochs_table(history: Sequence[EpochFigures], best_epoch: int, best_by: Criterion, *, folds: bool = False) -> Table:
    """A row per epoch; with `folds` they are means over those of a cross-validation."""
    plain = best_by in ("accuracy", "loss")
    rows = [
        (
            f"{row.epoch}{' ★' if row.epoch == best_epoch else ''}",
            f"{row.train_loss:.3f}",
            percent(row.train_accuracy),
            f"{row.val_loss:.3f}",
            percent(row.val_accuracy),
            *(() if plain else (decimal(row.chosen_by),)),
            f"{row.seconds:.1f}",
        )
        for row in history
    ]
    name = NAMES[best_by]
    more = () if plain else (f"val {name}",)
    head = ("epoch", "train loss", "train accuracy", "val loss", "val accuracy", *more, "training s")
    best = "lowest" if best_by == "loss" else "highest"
    caption = f"★ the epoch kept in best.pt, the one with the {best} validation {name}"
    if folds:
        caption = "Means over the folds. ★ how long it was trained on everything: the median of the folds' best"
    return Table(caption, head, rows)
