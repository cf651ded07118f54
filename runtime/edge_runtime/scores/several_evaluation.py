"""A model of several labels, or of several tasks, scored on labelled images through the runtime that will serve it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import DataError, ImageError, UsageError
from edge_runtime.files.samples import Sample
from edge_runtime.model.image_classifier import ImageClassifier
from edge_runtime.scores.evaluation import answer_files, collect, require_scored
from edge_runtime.scores.label_metrics import MultiLabelMetrics, label_matrix, measure_labels
from edge_runtime.scores.task_metrics import TaskMetrics, measure_tasks


@dataclass(frozen=True, slots=True, eq=False)
class SeveralEvaluation:
    """Metrics over the images that could be read, and the errors of those that could not.

    `probabilities` are the answers to `samples`, those that could be read, float32 `[N, labels of the card]`.
    """

    metrics: MultiLabelMetrics | TaskMetrics
    unreadable: tuple[ImageError, ...]
    samples: tuple[Sample, ...]
    probabilities: NDArray[np.float32]

    @property
    def label_truth(self) -> NDArray[np.bool_]:
        """Of several labels: which of `samples` has which, `[N, classes]`."""
        return label_matrix([sample.targets for sample in self.samples], self.probabilities.shape[1])

    @property
    def task_truth(self) -> NDArray[np.int64]:
        """Of several tasks: the true class of each of `samples` in each, `[N, tasks]`, -1 where it has no label."""
        return np.array([sample.targets for sample in self.samples], np.int64)


def evaluate_several(
    classifier: ImageClassifier,
    root: str | Path,
    samples: Sequence[Sample],
    *,
    on_image: Callable[[], object] = lambda: None,
) -> SeveralEvaluation:
    """Answer `samples` below `root` and compare with their targets; `on_image` is called once per image.

    Raises:
        UsageError: the model gives one label a picture.
        DataError: there are no samples, none can be read, or they were listed for another kind of model.
    """
    root = require_scored(classifier, root)
    card = classifier.card
    if card.kind == "single-label":
        raise UsageError(f"{classifier.path} gives one label a picture", "score it with `evaluate`")
    if card.tasks and any(len(sample.targets) != len(card.tasks) for sample in samples):
        raise DataError(f"{root} does not say a label for each of {len(card.tasks)} tasks", "name a list of those")
    read, rows, unreadable = collect(root, answer_files(classifier, root, samples), on_image)
    targets = [sample.targets for sample in read]
    if card.tasks:
        found: MultiLabelMetrics | TaskMetrics = measure_tasks(card.tasks, np.array(targets, np.int64), rows)
    else:
        found = measure_labels(card.labels, card.thresholds, label_matrix(targets, len(card.labels)), rows)
    return SeveralEvaluation(found, unreadable, read, rows)
