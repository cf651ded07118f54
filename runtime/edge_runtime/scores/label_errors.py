"""Labels that are likely wrong, found by what a model says of images that it never saw: confident learning.

Northcutt, Jiang and Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Probabilities come rounded from files: one that is its threshold must not lie below it.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class LabelErrors:
    """Images whose labels are likely wrong.

    `suspects` are their rows, the most suspicious first, int64 `[K]`, and `instead` the class that each of them is
    like. `scores`, float64 `[N]`, say how well the label of each image fits, 0..1, low where it does not: the
    normalized margin, (1 + the label's probability - the largest other) / 2. `joint` counts images by the label they
    have (row) and the class they are confidently like (column), int64 `[classes, classes]`; `thresholds`, float64
    `[classes]`, say from which probability on, NaN for a class without images. `estimated` is the joint by the labels
    of all images, float64 `[classes, classes]`: its rows sum to how many have each label.
    """

    suspects: NDArray[np.int64]
    instead: NDArray[np.int64]
    scores: NDArray[np.float64]
    joint: NDArray[np.int64]
    thresholds: NDArray[np.float64]
    estimated: NDArray[np.float64]

    @property
    def estimated_wrong(self) -> float:
        """How many labels are wrong, as the joint distribution says; more or fewer than the suspects."""
        return float(self.estimated.sum() - self.estimated.trace())


def find_label_errors(truth: NDArray[np.int64], probabilities: NDArray[np.floating]) -> LabelErrors:
    """What the answers to images say of their labels, `truth` `[N]`; `probabilities` is `[N, classes]`.

    Each answer must come from a model that did not learn from that image, as cross-validation gives them. An image
    counts as confidently of the class, of those whose threshold its probability reaches, that is the most probable; a
    class's threshold is the mean probability of it over the images labelled so. Those that count for another class than
    their label's, and are answered otherwise, are the suspects, ranked by their normalized margin.
    """
    given = probabilities.astype(np.float64)
    rows, classes = np.arange(len(truth)), given.shape[1]
    counts = np.bincount(truth, minlength=classes)
    own = given[rows, truth]
    with np.errstate(invalid="ignore"):
        thresholds = np.bincount(truth, own, minlength=classes) / np.where(counts, counts, np.nan)
    reached = given >= thresholds - _ROUNDING  # never so against NaN
    like = np.where(reached, given, -1.0).argmax(axis=1)
    confident = reached.any(axis=1)
    joint = np.zeros((classes, classes), np.int64)
    np.add.at(joint, (truth[confident], like[confident]), 1)
    others = given.copy()
    others[rows, truth] = -1.0
    margins = (1.0 + own - others.max(axis=1)) / 2
    suspected = rows[confident & (like != truth) & (given.argmax(axis=1) != truth)]
    suspects = suspected[np.argsort(margins[suspected], kind="stable")]
    return LabelErrors(suspects, like[suspects], margins, joint, thresholds, _calibrated(joint, counts))


def _calibrated(joint: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The joint, its rows stretched to all images of each label (equation 3); a class with none confident is right."""
    certain = joint + np.diag((joint.diagonal() == 0) & (counts > 0)).astype(np.int64)
    sums = certain.sum(axis=1, keepdims=True)
    stretched: NDArray[np.float64] = certain / np.maximum(sums, 1) * counts[:, None]
    return stretched
