"""Figures of merit of a classifier on labelled images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_runtime.scores.accuracy import Accuracy, wilson_interval
from edge_runtime.scores.ranking import auroc, average_precision

CALIBRATION_BINS = 15
# A card is read whenever a file is opened: a row for each of a thousand classes would be most of it.
CLASSES_ON_CARD = 20

Interval: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """The figures of one class against all others, in 0..1; None where the quotient has no denominator.

    `recall` is the sensitivity; the intervals are 95 % Wilson intervals. `support` is how many images are of the class.
    """

    label: str
    precision: float | None
    recall: float | None
    recall_interval_95: Interval | None
    specificity: float | None
    specificity_interval_95: Interval | None
    f1: float | None
    auroc: float | None
    average_precision: float | None
    support: int


@dataclass(frozen=True, slots=True, eq=False)
class Metrics:
    """What `measure` found: `confusion[truth, prediction]` counts images, int64 `[classes, classes]`.

    `class_auroc` and `class_average_precision` have an entry per label, one against rest, None where the class or all
    others are absent. `log_loss` is in nats. `calibration_folds` says in how many parts `calibration_error`, `log_loss`
    and `brier` are of probabilities whose temperature was fitted on other images: 0 where it was fitted on these very
    ones, which are one group, None where these had no part in it.
    """

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    calibration_error: float
    log_loss: float
    brier: float
    class_auroc: tuple[float | None, ...]
    class_average_precision: tuple[float | None, ...]
    calibration_folds: int | None = None

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
        n, hits = self.n, np.diag(self.confusion).tolist()
        answered, support = (self.confusion.sum(axis=axis).tolist() for axis in (0, 1))
        return tuple(
            _class_metrics(
                label,
                hits[at],
                answered[at],
                support[at],
                n,
                area=self.class_auroc[at],
                average_precision=self.class_average_precision[at],
            )
            for at, label in enumerate(self.labels)
        )

    @property
    def absent(self) -> tuple[str, ...]:
        """The labels that no image has: they have no recall and no ranking, and count in no mean of those."""
        return tuple(self.labels[at] for at in np.flatnonzero(self.confusion.sum(axis=1) == 0))

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall over the classes that have images."""
        support = self.confusion.sum(axis=1)
        there = support > 0
        return float((np.diag(self.confusion)[there] / support[there]).mean())

    @property
    def macro_f1(self) -> float:
        """The mean F1 over the classes that occur, as truth or as answer; 0 for one never right."""
        answer = _mean(row.f1 for row in self.per_class)
        assert answer is not None, "an image has a class"
        return answer

    @property
    def auroc(self) -> float | None:
        """The mean AUROC over the classes that have one, one against rest; None where all images are of one class."""
        return _mean(self.class_auroc)

    @property
    def average_precision(self) -> float | None:
        """The mean average precision over the classes that have images, one against rest."""
        return _mean(self.class_average_precision)

    def on_card(self) -> dict[str, Any]:
        """What of it a model card carries; the rows of its classes where they are few."""
        return {
            **self._figures(),
            **({"per_class": class_rows(self.per_class)} if len(self.labels) <= CLASSES_ON_CARD else {}),
        }

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON object."""
        return {
            **self._figures(),
            "correct": self.correct,
            "accuracy_interval_95": list(self.interval),
            "absent": list(self.absent),
            "per_class": class_rows(self.per_class),
            "labels": list(self.labels),
            "confusion": self.confusion.tolist(),
        }

    def _figures(self) -> dict[str, Any]:
        return {
            "accuracy": self.accuracy,
            "n": self.n,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "auroc": self.auroc,
            "average_precision": self.average_precision,
            "log_loss": self.log_loss,
            "brier": self.brier,
            "expected_calibration_error": self.calibration_error,
            **({"calibration_folds": self.calibration_folds} if self.calibration_folds is not None else {}),
        }


def class_rows(per_class: Iterable[Any]) -> list[dict[str, Any]]:
    """The classes' figures, a dataclass each, as a card and JSON have them."""
    rows = [asdict(row) for row in per_class]
    return [{key: list(item) if isinstance(item, tuple) else item for key, item in row.items()} for row in rows]


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
    # Of a thousand classes, a row is sorted much faster than a column.
    columns = [(truth == place, scores) for place, scores in enumerate(np.ascontiguousarray(probabilities.T))]
    return Metrics(
        labels,
        confusion,
        expected_calibration_error(truth, probabilities),
        log_loss(truth, probabilities),
        brier_score(truth, probabilities),
        tuple(auroc(*column) for column in columns),
        tuple(average_precision(*column) for column in columns),
    )


def log_loss(truth: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """The mean negative log-likelihood in nats; a probability counts at least float32's epsilon, some 16 nats."""
    given = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    least = float(np.finfo(np.float32).eps)
    return float(-np.log(np.clip(given, least, 1 - least)).mean())


def brier_score(truth: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """The mean squared distance of the probabilities from the truth (Brier 1950), 0 where they are perfect.

    Summed over the classes, so at most 2; with two classes half of that, which is the one everybody reports.
    """
    distance = probabilities.astype(np.float64)
    distance[np.arange(len(truth)), truth] -= 1
    summed = float(np.square(distance).sum(axis=1).mean())
    return summed / 2 if probabilities.shape[1] == 2 else summed


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


def _class_metrics(
    label: str,
    hits: int,
    predicted: int,
    support: int,
    n: int,
    *,
    area: float | None,
    average_precision: float | None,
) -> ClassMetrics:
    others = n - support
    refused = others - (predicted - hits)
    return ClassMetrics(
        label,
        precision=hits / predicted if predicted else None,
        recall=hits / support if support else None,
        recall_interval_95=wilson_interval(hits, support) if support else None,
        specificity=refused / others if others else None,
        specificity_interval_95=wilson_interval(refused, others) if others else None,
        f1=2 * hits / (predicted + support) if predicted + support else None,
        auroc=area,
        average_precision=average_precision,
        support=support,
    )


def _mean(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None
