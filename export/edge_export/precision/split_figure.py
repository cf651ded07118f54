"""The figure that a split is told by, of a model file: what an accuracy budget is spent in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_export.proof.decision import decision_of, score
from edge_runtime import Accuracy, Classifier, Progress, Silence, UsageError

# Called anew for each pass: batches of pixels, uint8 `[N, H, W, 3]`, with what is true of them, as Decision has it.
LabelledImages: TypeAlias = Callable[[], Iterable[tuple[NDArray[np.uint8], NDArray[Any]]]]

# How a person reads the keys that figures have in a model's card.
FIGURE_NAMES = {"accuracy": "top-1", "map": "mAP", "mean_accuracy": "mean accuracy", "exact_match": "all labels right"}


@dataclass(frozen=True, slots=True)
class SplitFigure:
    """`value` in 0..1 of what `key` names: "accuracy", "map" of several labels, "mean_accuracy" of several tasks,
    "exact_match" of several labels where no image has one.

    `right` counts the images that are answered rightly in all that is known of them.
    """

    key: str
    value: float
    right: Accuracy

    @property
    def n(self) -> int:
        """Images measured."""
        return self.right.n

    @property
    def name(self) -> str:
        """As a person reads it."""
        return FIGURE_NAMES[self.key]

    @property
    def percent(self) -> float:
        """In 0..100."""
        return 100 * self.value

    def __str__(self) -> str:
        return str(self.right) if self.key == "accuracy" else f"{self.name} {self.percent:.1f} % ({self.n} images)"

    def to_json(self) -> dict[str, Any]:
        """As a model's card carries it: a fraction, with the counts of what was right, which is all of `accuracy`."""
        told = {} if self.key == "accuracy" else {self.key: self.value}
        return {**told, **self.right.to_json()}


def measure_figure(
    path: Path,
    images: LabelledImages,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    what: str = "",
    total: int = 0,
) -> SplitFigure:
    """What the model file at `path` reaches on labelled images, through the runtime that will serve it.

    `what` and `total`, the number of images where it is known, are for the progress bar.

    Raises:
        UsageError: there is no image.
        ModelError: the file cannot be run.
    """
    progress = progress or Silence()
    classifier = Classifier(path, threads=threads)
    truths, answers = [], []
    progress.begin(what or f"accuracy of {path.name}", total)
    for pixels, truth in images():
        truths.append(truth)
        answers.append(classifier.probabilities(pixels))
        progress.advance(len(pixels))
    progress.end()
    if not sum(map(len, truths)):
        raise UsageError("there is no validation image to measure accuracy on", "name the folder with `data`")
    decision = decision_of(classifier.card)
    truth, probabilities = np.concatenate(truths), np.concatenate(answers)
    hits = decision.hits(truth, probabilities)
    key, value = score(decision.measure_truth(truth, probabilities))
    return SplitFigure(key, value, Accuracy(int(hits.sum()), len(hits)))
