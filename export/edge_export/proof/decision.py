"""How a model's probabilities become an answer, and so what it means that a file answers as its checkpoint does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_runtime import (
    MISSING,
    Accuracy,
    Drift,
    Metrics,
    ModelCard,
    MultiLabelMetrics,
    Sample,
    TaskMetrics,
    label_matrix,
    measure,
    measure_labels,
    measure_tasks,
    task_slices,
)

# What two sides may differ by, in probability.
MAX_DIFFERENCE = 1e-4

SplitMetrics: TypeAlias = Metrics | MultiLabelMetrics | TaskMetrics


class Decision:
    """The most probable label is the answer.

    What is true of N images is int64 `[N]`; of pictures of several labels bool `[N, labels]`, of tasks int64
    `[N, tasks]` with MISSING.
    """

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    def same(self, expected: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether two `[N, classes]` answer alike, per image; what the reference ranks within 1e-4 is a tie."""
        return same_top1(expected, found)

    def sharpen(self, probabilities: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """The probabilities with a temperature above 1 undone, which hides differences; None where there is none."""
        heat = self.card.temperature
        return undo_temperature(probabilities, heat) if heat > 1 else None

    def truth(self, samples: Sequence[Sample]) -> NDArray[Any]:
        """What is true of `samples`."""
        return np.array([sample.label for sample in samples], np.int64)

    def hits(self, truth: NDArray[Any], probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether each image is answered rightly, `[N]`, with all that is known of it."""
        hits: NDArray[np.bool_] = probabilities.argmax(axis=1) == truth
        return hits

    def right(self, samples: Sequence[Sample], probabilities: NDArray[np.float32]) -> Accuracy:
        """How many of `samples` are answered rightly, with all that is known of them."""
        return Accuracy(int(self.hits(self.truth(samples), probabilities).sum()), len(samples))

    def drift(self, truth: NDArray[Any], found: NDArray[np.float32], exact: NDArray[np.float32]) -> Drift:
        """How far the answers of kernels, `found`, are from those of their graph in exact arithmetic."""
        return Drift.between(truth, found, exact, labels=self.card.labels, point=self.card.operating_point)

    def measure(self, samples: Sequence[Sample], probabilities: NDArray[np.float32]) -> SplitMetrics:
        """All figures on `samples`."""
        return self.measure_truth(self.truth(samples), probabilities)

    def measure_truth(self, truth: NDArray[Any], probabilities: NDArray[np.float32]) -> SplitMetrics:
        """All figures of N images, by what is true of them."""
        return measure(self.card.labels, truth, probabilities)


class LabelDecision(Decision):
    """Each label is given that reaches its threshold."""

    def same(self, expected: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether all labels are given alike; one within 1e-4 of its threshold is a tie."""
        thresholds = np.array(self.card.thresholds)
        alike = (expected >= thresholds) == (found >= thresholds)
        same: NDArray[np.bool_] = (alike | (np.abs(expected - thresholds) <= MAX_DIFFERENCE)).all(axis=1)
        return same

    def sharpen(self, probabilities: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """sigmoid(logits) of sigmoid(logits / T), of a T above 1."""
        heat = self.card.temperature
        if heat <= 1:
            return None
        yes, no = probabilities.astype(np.float64) ** heat, (1 - probabilities.astype(np.float64)) ** heat
        sharp: NDArray[np.float64] = yes / (yes + no)
        return sharp

    def truth(self, samples: Sequence[Sample]) -> NDArray[Any]:
        """Which labels each has."""
        return label_matrix((sample.targets for sample in samples), len(self.card.labels))

    def hits(self, truth: NDArray[Any], probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether each has exactly the labels that are given."""
        hits: NDArray[np.bool_] = ((probabilities >= np.array(self.card.thresholds)) == truth).all(axis=1)
        return hits

    def drift(self, truth: NDArray[Any], found: NDArray[np.float32], exact: NDArray[np.float32]) -> Drift:
        """The same with all labels of an image."""
        return Drift.of_labels(self.card.thresholds, truth, found, exact)

    def measure_truth(self, truth: NDArray[Any], probabilities: NDArray[np.float32]) -> SplitMetrics:
        """mAP, and the figures of each label."""
        return measure_labels(self.card.labels, self.card.thresholds, truth, probabilities)


class TaskDecision(Decision):
    """The most probable label of each task is its answer."""

    def same(self, expected: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether every task is answered alike."""
        parts = [same_top1(expected[:, own], found[:, own]) for _, own in task_slices(self.card.tasks)]
        same: NDArray[np.bool_] = np.logical_and.reduce(parts)
        return same

    def sharpen(self, probabilities: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """Each task's probabilities without its temperature, where that is above 1."""
        if all(task.temperature <= 1 for task in self.card.tasks):
            return None
        parts = [
            undo_temperature(probabilities[:, own], max(1.0, task.temperature))
            for task, own in task_slices(self.card.tasks)
        ]
        return np.concatenate(parts, axis=1)

    def truth(self, samples: Sequence[Sample]) -> NDArray[Any]:
        """The label of each task, or MISSING."""
        return np.array([sample.targets for sample in samples], np.int64)

    def hits(self, truth: NDArray[Any], probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether each has every task right that it has a label for."""
        said = np.stack([probabilities[:, own].argmax(axis=1) for _, own in task_slices(self.card.tasks)], axis=1)
        hits: NDArray[np.bool_] = ((said == truth) | (truth == MISSING)).all(axis=1)
        return hits

    def drift(self, truth: NDArray[Any], found: NDArray[np.float32], exact: NDArray[np.float32]) -> Drift:
        """The same with all tasks of an image."""
        return Drift.of_tasks(self.card.tasks, truth, found, exact)

    def measure_truth(self, truth: NDArray[Any], probabilities: NDArray[np.float32]) -> SplitMetrics:
        """The figures of each task, and their mean accuracy."""
        return measure_tasks(self.card.tasks, truth, probabilities)


def decision_of(card: ModelCard) -> Decision:
    """How the model of that card answers."""
    return (LabelDecision if card.thresholds else TaskDecision if card.tasks else Decision)(card)


def same_top1(expected: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether the top-1 labels of two `[N, classes]` agree, per image.

    Two labels that the reference itself ranks within the tolerance are a tie, and either is right.
    """
    chosen = np.take_along_axis(expected, found.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]
    same: NDArray[np.bool_] = chosen >= expected.max(axis=1) - MAX_DIFFERENCE
    return same


def score(found: SplitMetrics) -> tuple[str, float]:
    """The figure that a split is told by, and its key: the accuracy, the mAP, or the tasks' mean accuracy; in 0..1.

    Where no image has a label there is no mAP, and none is lost: it is the share of images with every label right.
    """
    if isinstance(found, Metrics):
        return "accuracy", found.accuracy
    if isinstance(found, TaskMetrics):
        return "mean_accuracy", found.mean_accuracy
    average = found.mean_average_precision
    return ("exact_match", found.exact.share) if average is None else ("map", average)


def undo_temperature(probabilities: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """What softmax(logits / temperature) would be at temperature 1."""
    powers = probabilities.astype(np.float64) ** temperature
    sharp: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return sharp
