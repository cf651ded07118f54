"""How many images of a split a model file gets right."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_runtime import Classifier, Progress, Silence, UsageError

__all__ = ["Accuracy", "LabelledImages", "measure_accuracy"]

# Called anew for each pass: batches of pixels, uint8 `[N, H, W, 3]`, with the indices of their labels, `[N]`.
LabelledImages: TypeAlias = Callable[[], Iterable[tuple[NDArray[np.uint8], NDArray[np.int64]]]]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Top-1 accuracy as a count: `correct` of `n` images, n at least 1."""

    correct: int
    n: int

    @property
    def percent(self) -> float:
        """Percent of the images."""
        return 100 * self.correct / self.n

    def __str__(self) -> str:
        return f"{self.percent:.1f} % ({self.correct} of {self.n})"

    def to_json(self) -> dict[str, Any]:
        """As a model card carries it: a fraction, with its counts."""
        return {"accuracy": self.correct / self.n, "correct": self.correct, "n": self.n}


def measure_accuracy(
    path: Path,
    images: LabelledImages,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    what: str = "",
    total: int = 0,
) -> Accuracy:
    """Top-1 accuracy of the model file at `path`, through the runtime that will serve it.

    `what` and `total`, the number of images where it is known, are for the progress bar.

    Raises:
        UsageError: there is no image.
        ModelError: the file cannot be run.
    """
    progress = progress or Silence()
    classifier = Classifier(path, threads=threads)
    correct = n = 0
    progress.begin(what or f"accuracy of {path.name}", total)
    for pixels, labels in images():
        correct += int((classifier.probabilities(pixels).argmax(axis=1) == labels).sum())
        n += len(pixels)
        progress.advance(len(pixels))
    progress.end()
    if not n:
        raise UsageError("there is no validation image to measure accuracy on", "name the folder with `data`")
    return Accuracy(correct, n)
