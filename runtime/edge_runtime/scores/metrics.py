"""Figures of merit of a classifier on labelled images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.scores.accuracy import Accuracy

CALIBRATION_BINS = 15


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Precision, recall and F1 of one class, in 0..1; None where the quotient has no denominator."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True, slots=True, eq=False)
class Metrics:
    """What `measure` found: `confusion[truth, prediction]` counts images, int64 `[classes, classes]`."""

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    calibration_error: float

    @property
    def top1(self) -> Accuracy:
        """The right ones and all of them, as a count."""
        return Accuracy(int(np.trace(self.confusion)), int(self.confusion.sum()))

    @property
    def n(self) -> int:
        """Images measured."""
        return self.top1.n

    @property
    def correct(self) -> int:
        """Images whose most probable label is the true one."""
        return self.top1.correct

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy in 0..1."""
        return self.top1.share

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the accuracy."""
        return self.top1.interval

    @property
    def per_class(self) -> tuple[ClassMetrics, ...]:
        """One row per label, in label order."""
        hits = np.diag(self.confusion)
        return tuple(
            _class_metrics(label, int(hit), int(predicted), int(support))
            for label, hit, predicted, support in zip(
                self.labels, hits, self.confusion.sum(axis=0), self.confusion.sum(axis=1), strict=True
            )
        )

    @property
    def macro_f1(self) -> float:
        """The mean F1 over the classes that occur, as truth or as answer; 0 for one never right."""
        scores = [row.f1 for row in self.per_class if row.f1 is not None]
        return sum(scores) / len(scores)

    def on_card(self) -> dict[str, Any]:
        """What of it a model card carries."""
        return {"accuracy": self.accuracy, "n": self.n, "expected_calibration_error": self.calibration_error}

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON object."""
        return {
            "n": self.n,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "accuracy_interval_95": list(self.interval),
            "macro_f1": self.macro_f1,
            "expected_calibration_error": self.calibration_error,
            "per_class": [asdict(row) for row in self.per_class],
            "labels": list(self.labels),
            "confusion": self.confusion.tolist(),
        }


def measure(labels: tuple[str, ...], truth: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Metrics:
    """Compare `probabilities` `[N, classes]` with the true classes `truth` `[N]`, N at least 1.

    Raises:
        ValueError: no images, or shapes that do not go together.
    """
    if not len(truth) or probabilities.shape != (len(truth), len(labels)):
        raise ValueError(f"{len(truth)} true classes, {probabilities.shape} probabilities, {len(labels)} labels")
    answers = probabilities.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion, (truth, answers), 1)
    return Metrics(labels, confusion, expected_calibration_error(truth, probabilities))


def calibration_bins(
    truth: NDArray[np.int64], probabilities: NDArray[np.float32], *, bins: int = CALIBRATION_BINS
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """By equal bins of confidence, each `[bins]`: images, the sum of their confidences, and how many are right."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == truth).astype(np.float64)
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    sure, hits = (np.bincount(place, weights=weights, minlength=bins) for weights in (confidence, right))
    return np.bincount(place, minlength=bins), sure, hits


def expected_calibration_error(
    truth: NDArray[np.int64], probabilities: NDArray[np.float32], *, bins: int = CALIBRATION_BINS
) -> float:
    """The mean gap between confidence and accuracy over `bins` equal bins (Guo et al. 2017, section 2)."""
    _, sure, hits = calibration_bins(truth, probabilities, bins=bins)
    return float(np.abs(sure - hits).sum() / len(truth))


def _class_metrics(label: str, hits: int, predicted: int, support: int) -> ClassMetrics:
    return ClassMetrics(
        label,
        precision=hits / predicted if predicted else None,
        recall=hits / support if support else None,
        f1=2 * hits / (predicted + support) if predicted + support else None,
        support=support,
    )
