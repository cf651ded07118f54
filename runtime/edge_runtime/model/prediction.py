"""What the classifier answers for one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

UNKNOWN = "unknown"
"""What stands in a label's place where none is probable enough."""


class LabelProbability(NamedTuple):
    """One label and its probability in 0..1."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Probabilities of one image: `probabilities` is float32 `[classes]`, in the order of `labels`."""

    image: str
    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.labels[int(self.probabilities.argmax())]

    @property
    def probability(self) -> float:
        """The probability of `label`, in 0..1."""
        return float(self.probabilities.max())

    def top(self, k: int = 5) -> tuple[LabelProbability, ...]:
        """The `k` most probable labels (or all there are), most probable first; ties in label order."""
        order = np.argsort(-self.probabilities, kind="stable")[: max(k, 0)]
        return tuple(LabelProbability(self.labels[i], float(self.probabilities[i])) for i in order)

    def to_json(self, k: int = 5) -> dict[str, Any]:
        """The answer as `edge predict --json` prints it, with the `k` most probable labels."""
        top = [row._asdict() for row in self.top(k)]
        return {"image": self.image, "label": self.label, "probability": self.probability, "top": top}
