"""A contestant: one model file that takes part in a benchmark, opened and ready to run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_benchmarks.latency import Call
from edge_runtime import Classifier

__all__ = ["Contestant"]


@dataclass(frozen=True)
class Contestant:
    """One model file. `name` is what the table calls it; `fresh` says that its weights are random."""

    name: str
    path: Path
    threads: int | None = None
    fresh: bool = False

    @cached_property
    def classifier(self) -> Classifier:
        """The opened model. Raises UsageError where there is no such file, ModelError where it is none of edge's."""
        return Classifier(self.path, threads=self.threads)

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return self.path.stat().st_size

    @property
    def input_px(self) -> str:
        """The side of the images it takes, or width × height where they differ."""
        size = self.classifier.preprocessing
        if size.width_px == size.height_px:
            return str(size.width_px)
        return f"{size.width_px}×{size.height_px}"

    def preprocess(self, image: Path) -> Call:
        """A call that decodes and resizes `image`. Raises ImageError where that cannot be done."""
        encoded = image.read_bytes()
        preprocessing = self.classifier.preprocessing
        preprocessing(encoded)
        return lambda: preprocessing(encoded)

    def inference(self, image: Path, *, batch: int = 1) -> Call:
        """A call that runs the model on `batch` copies of `image`, already decoded and resized.

        Raises:
            ImageError: the image cannot be decoded.
            ModelError: the model cannot run such a batch.
        """
        classifier = self.classifier
        pixels: NDArray[np.uint8] = np.repeat(classifier.preprocessing(image)[np.newaxis], batch, axis=0)
        classifier.probabilities(pixels)
        return lambda: classifier.probabilities(pixels)
