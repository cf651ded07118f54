"""How many images of a split a model file gets right."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_export.proof.decision import decision_of
from edge_runtime import Accuracy, Classifier, Progress, Silence, UsageError

# Called anew for each pass: batches of pixels, uint8 `[N, H, W, 3]`, with what is true of them, as Decision has it.
LabelledImages: TypeAlias = Callable[[], Iterable[tuple[NDArray[np.uint8], NDArray[Any]]]]


def measure_accuracy(
    path: Path,
    images: LabelledImages,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    what: str = "",
    total: int = 0,
) -> Accuracy:
    """How many images the model file at `path` answers rightly, through the runtime that will serve it.

    `what` and `total`, the number of images where it is known, are for the progress bar.

    Raises:
        UsageError: there is no image.
        ModelError: the file cannot be run.
    """
    progress = progress or Silence()
    classifier = Classifier(path, threads=threads)
    decision = decision_of(classifier.card)
    found = Accuracy(0, 0)
    progress.begin(what or f"accuracy of {path.name}", total)
    for pixels, truth in images():
        hits = decision.hits(truth, classifier.probabilities(pixels))
        found += Accuracy(int(hits.sum()), len(hits))
        progress.advance(len(pixels))
    progress.end()
    if not found.n:
        raise UsageError("there is no validation image to measure accuracy on", "name the folder with `data`")
    return found
