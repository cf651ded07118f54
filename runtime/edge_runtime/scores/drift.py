"""How far int8 kernels are from the graph they run: the same file and images, answered by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_DRIFT = 0.02
MIN_AGREEMENT = 0.99


@dataclass(frozen=True, slots=True)
class Drift:
    """What this machine's kernels answer, against the same graph in exact arithmetic, over `n` images.

    Differences are of probabilities, the largest of an image's labels; the mean is over the images. `accuracy` is the
    share of images that the kernels get right, `exact_accuracy` that of the graph.
    """

    n: int
    max_difference: float
    mean_difference: float
    top1_agreement: float
    accuracy: float
    exact_accuracy: float

    @classmethod
    def between(
        cls, truth: Sequence[int] | NDArray[np.int64], found: NDArray[np.float32], exact: NDArray[np.float32]
    ) -> Drift:
        """Of two answers to the same images, float32 `[N, classes]`, N 1 or more, with their right labels `[N]`."""
        difference = np.abs(found.astype(np.float64) - exact).max(axis=1)
        labels, own, other = np.asarray(truth), found.argmax(axis=1), exact.argmax(axis=1)
        return cls(
            len(found),
            float(difference.max()),
            float(difference.mean()),
            float((own == other).mean()),
            float((own == labels).mean()),
            float((other == labels).mean()),
        )

    @property
    def holds(self) -> bool:
        """Whether both give the same answers: at most 0.02 apart in a probability, and 99 % of the first labels."""
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
