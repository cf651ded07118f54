"""How well a score puts the images of one class before all others, at whatever threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def auroc(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> float | None:
    """The area under the ROC curve: how often a positive scores higher than a negative, a tie counting half.

    `positive` is `[N]`, `scores` `[N]`. None where there is no positive or no negative: there is nothing to rank.
    Equals the Mann-Whitney statistic over the number of pairs (Hanley and McNeil 1982).
    """
    hits, misses = _counts_by_threshold(positive, scores)
    if not len(hits) or not hits[-1] or not misses[-1]:
        return None
    sensitivity = np.concatenate([[0], hits]) / hits[-1]
    return float(np.trapezoid(sensitivity, np.concatenate([[0], misses]) / misses[-1]))


def average_precision(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> float | None:
    """The mean precision over the thresholds, each weighed by the recall it adds; not interpolated.

    `positive` is `[N]`, `scores` `[N]`; images of one score share a threshold. None where there is no positive.
    """
    hits, misses = _counts_by_threshold(positive, scores)
    if not len(hits) or not hits[-1]:
        return None
    added = np.diff(hits, prepend=0) / hits[-1]
    return float((added * hits / (hits + misses)).sum())


def _counts_by_threshold(
    positive: NDArray[np.bool_], scores: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positives and negatives that score at least each distinct score, the highest score first."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last_of_its_score = np.flatnonzero(np.append(np.diff(ranked) != 0, np.ones(min(1, len(ranked)), bool)))
    hits = np.cumsum(positive[order], dtype=np.int64)[last_of_its_score]
    return hits, last_of_its_score + 1 - hits
