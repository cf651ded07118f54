"""What runs on pictures: a model, or a model that also says how far each picture lies from training's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime import Classifier


class Runs(Protocol):
    """Runs a model on pictures."""

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """A row for each picture `[height, width, 3]`: its probabilities, and what else is measured behind them."""


@dataclass(frozen=True, slots=True)
class WithDistance:
    """Runs a model whose file tells distances: each row is of the probabilities, and the picture's distance last."""

    classifier: Classifier

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Float32 `[N, classes + 1]`."""
        rows, distances = self.classifier.probabilities_and_distances(pixels)
        return np.concatenate([rows, distances[:, np.newaxis]], axis=1)
