"""The exported file, scored on labelled images through the same runtime that will serve it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.errors import DataError, ImageError
from edge_runtime.files.class_folders import Sample
from edge_runtime.model.classifier import Classifier
from edge_runtime.scores.metrics import Metrics, measure

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Metrics over the images that could be read, and the errors of those that could not."""

    metrics: Metrics
    unreadable: tuple[ImageError, ...]


def evaluate(
    classifier: Classifier,
    root: Path,
    samples: Sequence[Sample],
    *,
    on_image: Callable[[], object] = lambda: None,
) -> Evaluation:
    """Classify `samples` below `root` and compare with their labels; `on_image` is called once per image.

    Raises:
        DataError: there are no samples, or none can be read.
    """
    truth, rows, unreadable = [], [], []
    answers = classifier.predict_many((root / sample.path for sample in samples), on_error="return")
    for sample, answer in zip(samples, answers, strict=True):
        on_image()
        if isinstance(answer, ImageError):
            unreadable.append(answer)
        else:
            truth.append(sample.label)
            rows.append(answer.probabilities)
    if not rows and unreadable:
        raise DataError(
            f"none of the {len(unreadable)} images below {root} can be read: {unreadable[0].message}",
            "name another folder with `data`",
        )
    if not rows:
        raise DataError(f"{root} has no image to evaluate on", "name another folder with `data`")
    metrics = measure(classifier.labels, np.array(truth, dtype=np.int64), np.stack(rows))
    return Evaluation(metrics, tuple(unreadable))
