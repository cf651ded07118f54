"""A model scored on the averaged views of labelled images, beside what it answers to one view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.files.samples import Sample
from edge_runtime.model.averaged_views import AveragedViews
from edge_runtime.model.image_classifier import ImageClassifier
from edge_runtime.scores.accuracy import Accuracy
from edge_runtime.scores.evaluation import Evaluation, evaluate_batches
from edge_runtime.scores.labelled_images import LabelledBatch


@dataclass(frozen=True, slots=True, eq=False)
class ViewsEvaluation:
    """`averaged` is what the average of all views comes to, `one_view` the accuracy of the first alone on those images.

    `mended` images are right only by the average, `spoiled` ones only by the one view.
    """

    averaged: Evaluation
    views: AveragedViews
    one_view: Accuracy
    mended: int
    spoiled: int

    def to_json(self) -> dict[str, Any]:
        """As `edge evaluate --json` prints it."""
        return {
            "name": self.views.name,
            "views": len(self.views.views),
            "one_view": self.one_view.to_json(),
            "mended": self.mended,
            "spoiled": self.spoiled,
        }


def evaluate_views(
    classifier: ImageClassifier,
    views: AveragedViews,
    root: Path,
    samples: Sequence[Sample],
    *,
    on_image: Callable[[], object] = lambda: None,
) -> ViewsEvaluation:
    """As `evaluate`, each picture answered by the average of its views. Raises DataError as `evaluate` does."""
    first: list[NDArray[np.float32]] = []

    def answer(batch: LabelledBatch) -> NDArray[np.float32]:
        given = views.answers(classifier.probabilities, batch.pixels)
        first.append(given[0])
        return np.asarray(given.mean(axis=0), np.float32)

    averaged = evaluate_batches(answer, views.preprocessing, root, samples, labels=classifier.labels, on_image=on_image)
    truth, alone = averaged.truth, np.concatenate(first)
    right, was_right = averaged.probabilities.argmax(axis=1) == truth, alone.argmax(axis=1) == truth
    return ViewsEvaluation(
        averaged,
        views,
        Accuracy.of(truth, alone),
        mended=int((right & ~was_right).sum()),
        spoiled=int((~right & was_right).sum()),
    )
