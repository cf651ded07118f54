"""What makes one epoch, or one network, better than another: the figure it is chosen by, on validation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edge_runtime import Sample
from edge_train.run.split_answers import SplitAnswers
from edge_train.settings import BestBy, Criterion, OneLabelCriterion

# Always to answer the common class of 1:3 is 75 % right, which is what a rare class can hide behind.
IMBALANCE = 3
NAMES: dict[Criterion, str] = {
    "accuracy": "accuracy",
    "balanced-accuracy": "balanced accuracy",
    "loss": "loss",
    "auroc": "AUROC",
    "map": "mAP",
}


def choose_criterion(
    asked: BestBy, training: Sequence[Sample], validation: Sequence[Sample]
) -> tuple[OneLabelCriterion, str]:
    """What `asked` comes to for those images, and why where that is not what a person expects."""
    if asked == "auroc" and len({sample.label for sample in validation}) < 2:
        return "loss", "note: all validation images are of one class, which has no AUROC: the lowest loss is the best"
    if asked != "auto":
        return asked, ""
    counts = np.bincount([sample.label for sample in training])
    most, least = int(counts.max()), int(counts[counts > 0].min())
    if most <= IMBALANCE * least:
        return "accuracy", ""
    return "balanced-accuracy", (
        f"the best epoch is that of the highest balanced accuracy: the commonest class has {most} training images, the "
        f"rarest {least} (`best_by` accuracy takes the other)"
    )


def rank(criterion: Criterion, value: float | None, loss: float) -> tuple[float, float]:
    """Greater for the better: a higher `value`, or the same at a lower loss; by loss, that alone.

    What is no number, or None since a split lacks the classes for it, is the worst; so is any value beside a loss that
    is not finite: those answers are no numbers.
    """
    if not math.isfinite(loss):
        return -math.inf, -math.inf
    held = -loss
    if criterion == "loss":
        return held, held
    return (-math.inf if value is None or math.isnan(value) else value), held


def value_of(criterion: Criterion, answers: SplitAnswers) -> float | None:
    """The figure of `answers` that is chosen by, None where their images have not the classes for it."""
    if criterion == "loss":
        return answers.loss
    if criterion == "auroc":
        return answers.auroc
    return answers.balanced_accuracy if criterion == "balanced-accuracy" else answers.accuracy.share


def written(criterion: Criterion, value: float | None) -> str:
    """The figure as a person reads it, with its name."""
    shown = "–" if value is None else f"{value:.3f}" if criterion in ("loss", "auroc", "map") else f"{value:.1%}"
    return f"{NAMES[criterion]} {shown}"
