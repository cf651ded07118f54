"""How many of so many are right, and how sure one may be of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Top-1 accuracy as a count: `correct` of `n` images."""

    correct: int
    n: int

    @classmethod
    def of(cls, truth: NDArray[np.int64], answers: NDArray[np.float32]) -> Self:
        """Of logits or probabilities `[N, classes]`, against the true classes `[N]`."""
        return cls(int((answers.argmax(axis=1) == truth).sum()), len(truth))

    @classmethod
    def near(cls, share: float, n: int) -> Self:
        """The count that a share of `n` in 0..1, a mean or a published figure, comes nearest to."""
        return cls(round(share * n), n)

    def __add__(self, other: Accuracy) -> Accuracy:
        return Accuracy(self.correct + other.correct, self.n + other.n)

    @property
    def share(self) -> float:
        """In 0..1, n at least 1."""
        return self.correct / self.n

    @property
    def percent(self) -> float:
        """Percent of the images."""
        return 100 * self.correct / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the share."""
        return wilson_interval(self.correct, self.n)

    def __str__(self) -> str:
        return f"{self.percent:.1f} % ({self.correct} of {self.n})"

    def to_json(self) -> dict[str, Any]:
        """As a model card carries it: a fraction, with its counts."""
        return {"accuracy": self.share, "correct": self.correct, "n": self.n}


def wilson_interval(correct: int, n: int, *, z: float = 1.959963984540054) -> tuple[float, float]:
    """The Wilson score interval of a proportion (Wilson 1927), 95 % by default; it stays inside 0..1."""
    share = correct / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At 0 and n the bound is the share itself; rounding would put it on the wrong side by an ulp.
    return min(share, max(0.0, (centre - spread) / scale)), max(share, min(1.0, (centre + spread) / scale))
