"""How far int8 kernels are from the graph they run: the same file and images, answered by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.files.labelling import MISSING
from edge_runtime.model.card import OperatingPoint
from edge_runtime.model.task import Task, task_slices
from edge_runtime.scores.thresholds import choose_answers

MAX_DRIFT = 0.02
MIN_AGREEMENT = 0.99


@dataclass(frozen=True, slots=True)
class Drift:
    """What this machine's kernels answer, against the same graph in exact arithmetic, over `n` images.

    Differences are of probabilities, the largest of an image's labels; the mean is over the images. `accuracy` is the
    share of images that the kernels get right, `exact_accuracy` that of the graph; where a threshold decides, by it.
    """

    n: int
    max_difference: float
    mean_difference: float
    top1_agreement: float
    accuracy: float
    exact_accuracy: float

    @classmethod
    def between(
        cls,
        truth: Sequence[int] | NDArray[np.int64],
        found: NDArray[np.float32],
        exact: NDArray[np.float32],
        *,
        labels: tuple[str, ...] = (),
        point: OperatingPoint | None = None,
    ) -> Drift:
        """Of two answers to the same images, float32 `[N, classes]`, N 1 or more, with their right labels `[N]`.

        With `point`, between the two of `labels`, an answer is what its threshold says, else the most probable label.
        """
        right, own, other = np.asarray(truth), *(choose_answers(labels, rows, point) for rows in (found, exact))
        return cls._judged(found, exact, alike=own == other, right=own == right, exactly_right=other == right)

    @classmethod
    def of_labels(
        cls,
        thresholds: Sequence[float],
        truth: NDArray[np.bool_],
        found: NDArray[np.float32],
        exact: NDArray[np.float32],
    ) -> Drift:
        """The same of pictures of several labels, `truth` `[N, labels]`: an image counts with all of its labels."""
        own, other = (probabilities >= np.array(thresholds) for probabilities in (found, exact))
        right, exactly = ((labels == truth).all(axis=1) for labels in (own, other))
        return cls._judged(found, exact, alike=(own == other).all(axis=1), right=right, exactly_right=exactly)

    @classmethod
    def of_tasks(
        cls, tasks: Sequence[Task], truth: NDArray[np.int64], found: NDArray[np.float32], exact: NDArray[np.float32]
    ) -> Drift:
        """The same of several tasks, `truth` `[N, tasks]` or MISSING: an image counts with all of its tasks."""
        own, other = (
            np.stack([probabilities[:, place].argmax(axis=1) for _, place in task_slices(tasks)], axis=1)
            for probabilities in (found, exact)
        )
        right, exactly = (((labels == truth) | (truth == MISSING)).all(axis=1) for labels in (own, other))
        return cls._judged(found, exact, alike=(own == other).all(axis=1), right=right, exactly_right=exactly)

    @classmethod
    def _judged(
        cls,
        found: NDArray[np.float32],
        exact: NDArray[np.float32],
        *,
        alike: NDArray[np.bool_],
        right: NDArray[np.bool_],
        exactly_right: NDArray[np.bool_],
    ) -> Drift:
        difference = np.abs(found.astype(np.float64) - exact).max(axis=1)
        return cls(
            len(found),
            float(difference.max()),
            float(difference.mean()),
            float(alike.mean()),
            float(right.mean()),
            float(exactly_right.mean()),
        )

    @property
    def holds(self) -> bool:
        """Whether both give the same answers: at most 0.02 apart in a probability, and 99 % of the answers."""
        return self.max_difference <= MAX_DRIFT and self.top1_agreement >= MIN_AGREEMENT

    def to_json(self) -> dict[str, Any]:
        """As the model card and `edge evaluate --json` carry it."""
        return {
            "n": self.n,
            "max_difference": self.max_difference,
            "mean_difference": self.mean_difference,
            "top1_agreement": self.top1_agreement,
            "accuracy": self.accuracy,
            "exact_accuracy": self.exact_accuracy,
        }

    def __str__(self) -> str:
        return (
            f"accuracy {self.accuracy:.2%} by this machine's kernels, {self.exact_accuracy:.2%} in exact arithmetic; "
            f"top-1 agreement {self.top1_agreement:.2%}, max |Δp| {self.max_difference:.2g}, "
            f"mean {self.mean_difference:.2g} on {self.n} images"
        )
