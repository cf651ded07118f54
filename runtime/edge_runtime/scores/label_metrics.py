"""Figures of merit where a picture has any number of labels, each given from its own probability on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.scores.accuracy import Accuracy, wilson_interval
from edge_runtime.scores.metrics import CALIBRATION_BINS, CLASSES_ON_CARD, Interval, class_rows
from edge_runtime.scores.ranking import auroc, average_precision

_RESAMPLES = 1000
_SEED = 0
# Counts of so many images are held at a time.
_HELD = 1_000_000


@dataclass(frozen=True, slots=True)
class LabelMetrics:
    """The figures of one label, given from `threshold` on, in 0..1; None where the quotient has no denominator.

    `support` is how many images have the label; the intervals are 95 % Wilson intervals.
    """

    label: str
    threshold: float
    precision: float | None
    precision_interval_95: Interval | None
    recall: float | None
    recall_interval_95: Interval | None
    f1: float | None
    auroc: float | None
    average_precision: float | None
    support: int


@dataclass(frozen=True, slots=True)
class MultiLabelMetrics:
    """What `measure_labels` found: `per_class` has a row per label, in label order.

    `exact` counts the images of which every label is right. `log_loss` in nats, `brier` and `calibration_error` are
    means over all images and labels, each a question of yes or no; `calibration_folds` is that of `Metrics`.
    `f1_micro` is None where no image has a label and none is given one.
    """

    per_class: tuple[LabelMetrics, ...]
    exact: Accuracy
    f1_micro: float | None
    calibration_error: float
    log_loss: float
    brier: float
    calibration_folds: int | None = None

    @property
    def n(self) -> int:
        """Images measured."""
        return self.exact.n

    @property
    def mean_average_precision(self) -> float | None:
        """The mAP: the mean average precision over the labels that some image has; None where none has any."""
        return _mean(row.average_precision for row in self.per_class)

    @property
    def f1_macro(self) -> float | None:
        """The mean F1 over the labels that occur, as truth or answer; 0 for one never right, None where none does."""
        return _mean(row.f1 for row in self.per_class)

    @property
    def absent(self) -> tuple[str, ...]:
        """The labels that no image has: they have no recall and no average precision, and count in no mean of those."""
        return tuple(row.label for row in self.per_class if not row.support)

    def on_card(self) -> dict[str, Any]:
        """What of it a model card carries; the rows of its labels where they are few."""
        few = len(self.per_class) <= CLASSES_ON_CARD
        return {**self._figures(), **({"per_class": class_rows(self.per_class)} if few else {})}

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON object."""
        return {
            **self._figures(),
            "exact_match_interval_95": list(self.exact.interval),
            "absent": list(self.absent),
            "per_class": class_rows(self.per_class),
            "labels": [row.label for row in self.per_class],
        }

    def _figures(self) -> dict[str, Any]:
        return {
            "map": self.mean_average_precision,
            "n": self.n,
            "f1_macro": self.f1_macro,
            "f1_micro": self.f1_micro,
            "exact_match": self.exact.share,
            "log_loss": self.log_loss,
            "brier": self.brier,
            "expected_calibration_error": self.calibration_error,
            **({"calibration_folds": self.calibration_folds} if self.calibration_folds is not None else {}),
        }


def label_matrix(targets: Iterable[Sequence[int]], classes: int) -> NDArray[np.bool_]:
    """Which image has which label, `[N, classes]`, of the indices of each image's labels."""
    rows = [tuple(row) for row in targets]
    truth = np.zeros((len(rows), classes), np.bool_)
    for place, row in enumerate(rows):
        truth[place, list(row)] = True
    return truth


def measure_labels(
    labels: Sequence[str],
    thresholds: Sequence[float],
    truth: NDArray[np.bool_],
    probabilities: NDArray[np.float32],
) -> MultiLabelMetrics:
    """Compare `probabilities` `[N, classes]` with `truth` `[N, classes]`, N at least 1; `thresholds` has one a label.

    Raises:
        ValueError: no images, or shapes that do not go together.
    """
    if not len(truth) or probabilities.shape != truth.shape or {len(labels), len(thresholds)} != {truth.shape[1]}:
        raise ValueError(f"truth {truth.shape}, probabilities {probabilities.shape}, {len(labels)} labels")
    scores = probabilities.astype(np.float64)
    said = scores >= np.array(thresholds)
    hits, answered, support = (int(count.sum()) for count in (said & truth, said, truth))
    least = float(np.finfo(np.float32).eps)
    given = np.clip(np.where(truth, scores, 1 - scores), least, 1 - least)
    return MultiLabelMetrics(
        tuple(
            _label_metrics(label, float(thresholds[at]), truth[:, at], said[:, at], scores[:, at])
            for at, label in enumerate(labels)
        ),
        Accuracy(int((said == truth).all(axis=1).sum()), len(truth)),
        2 * hits / (answered + support) if answered + support else None,
        _calibration_error(truth.ravel(), scores.ravel()),
        float(-np.log(given).mean()),
        float(np.square(scores - truth).mean()),
    )


def best_thresholds(truth: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> tuple[float, ...]:
    """For each label the threshold of the best F1; `truth` and `probabilities` are `[N, classes]`.

    It lies halfway between the last image that gets the label and the next one, so that rounding moves neither; of
    equally good ones it is the nearest to 0.5, and 0.5 where no image has the label.
    """
    columns = zip(truth.T, probabilities.astype(np.float64).T, strict=True)
    return tuple(_best_threshold(positive, scores) for positive, scores in columns)


def map_interval(truth: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> Interval | None:
    """The 95 % interval of the mAP: percentiles of 1000 draws of as many images, with replacement, of a fixed seed.

    A draw without any label has no mAP and does not count; None where no image has one. `truth` and `probabilities` are
    `[N, classes]`, N at least 1. Efron and Tibshirani 1993, section 13.3.
    """
    if not truth.any():
        return None
    n, classes = truth.shape
    draw = np.random.default_rng(_SEED)
    ranked = [_ranked(truth[:, at], probabilities[:, at]) for at in range(classes)]
    found: list[NDArray[np.float64]] = []
    step = max(1, _HELD // n)
    for start in range(0, _RESAMPLES, step):
        times = draw.multinomial(n, np.full(n, 1 / n), size=min(step, _RESAMPLES - start)).astype(np.float32)
        each = np.stack([_resampled(times, *ranking) for ranking in ranked])
        there = ~np.isnan(each)
        labels = there.sum(axis=0)
        found.append((np.where(there, each, 0).sum(axis=0) / np.maximum(labels, 1))[labels > 0])
    low, high = np.percentile(np.concatenate(found), (2.5, 97.5))
    return float(low), float(high)


def _ranked(
    positive: NDArray[np.bool_], scores: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """The images by falling score, which of them have the label, and the last place of each distinct score."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    return order, positive[order], last


def _resampled(
    times: NDArray[np.float32], order: NDArray[np.int64], positive: NDArray[np.bool_], last: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The average precision in each draw, `[draws]`, where image i was drawn `times[draw, i]` times; NaN without it."""
    drawn = times[:, order]
    hits = np.cumsum(drawn * positive, axis=1, dtype=np.float64)[:, last]
    images = np.cumsum(drawn, axis=1, dtype=np.float64)[:, last]
    with np.errstate(invalid="ignore"):
        shares: NDArray[np.float64] = (np.diff(hits, prepend=0, axis=1) * hits / np.maximum(images, 1)).sum(axis=1)
        answer: NDArray[np.float64] = shares / hits[:, -1]
    return answer


def _best_threshold(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    if not positive.any():
        return 0.5
    order, hits, last = _ranked(positive, scores)
    f1 = 2 * np.cumsum(hits)[last] / (last + 1 + positive.sum())
    levels = scores[order][last]
    between = (levels + np.append(levels[1:], 0.0)) / 2
    best = between[f1 >= f1.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def _label_metrics(
    label: str, threshold: float, truth: NDArray[np.bool_], said: NDArray[np.bool_], scores: NDArray[np.float64]
) -> LabelMetrics:
    hits, answered, support = (int(count.sum()) for count in (truth & said, said, truth))
    return LabelMetrics(
        label,
        threshold,
        precision=hits / answered if answered else None,
        precision_interval_95=wilson_interval(hits, answered) if answered else None,
        recall=hits / support if support else None,
        recall_interval_95=wilson_interval(hits, support) if support else None,
        f1=2 * hits / (answered + support) if answered + support else None,
        auroc=auroc(truth, scores),
        average_precision=average_precision(truth, scores),
        support=support,
    )


def _calibration_error(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """The mean gap between probability and share of yes over equal bins of probability."""
    place = np.minimum((scores * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    sure, yes = (np.bincount(place, weights=weights, minlength=CALIBRATION_BINS) for weights in (scores, truth))
    return float(np.abs(sure - yes).sum() / len(truth))


def _mean(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None
