"""Which layers int8 hurts: each is quantised alone, and what that does to the probabilities is its harm.

Quantising one layer at a time takes one file and one pass over few images a layer, so the cost is linear; a layer's
harm is not hidden by that of those before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_export.precision.int8 import CalibrationMethod, Quantizer
from edge_runtime import Classifier, ModelError, Progress, Silence

RANKING_IMAGES = 64
BATCH = 8


@dataclass(frozen=True, slots=True)
class LayerHarm:
    """How much probability, in points of 100, moves to other labels where this layer alone is int8, on average."""

    layer: str
    op: str
    harm_points: float
    kept_float: bool = False

    def to_json(self) -> dict[str, Any]:
        """As `export.json` carries it."""
        return {
            "layer": self.layer,
            "op": self.op,
            "harm_points": round(self.harm_points, 4),
            "kept_float": self.kept_float,
        }


def rank_layers(
    quantizer: Quantizer,
    pixels: NDArray[np.uint8],
    *,
    method: CalibrationMethod = "minmax",
    mixed: bool = False,
    progress: Progress | None = None,
) -> tuple[LayerHarm, ...]:
    """Every layer that is int8, the one that hurts most first, measured on up to 64 of `pixels` `[N, H, W, 3]`.

    With `mixed`, layers that `int8-mixed` leaves in float altogether are not ranked.
    """
    progress = progress or Silence()
    pixels = pixels[:RANKING_IMAGES]
    expected = _run(quantizer.fp32_path, pixels, quantizer.threads)
    layers = quantizer.quantizable(mixed=mixed)
    progress.begin("measuring each layer in int8", len(layers), "layers")
    harms = []
    with TemporaryDirectory(prefix="edge-layers-") as folder:
        alone = Path(folder) / "alone.onnx"
        for layer in layers:
            quantizer.write(alone, method=method, mixed=mixed, only=layer.name)
            harms.append(LayerHarm(layer.name, layer.op, _harm(alone, pixels, expected, quantizer.threads)))
            progress.advance()
    progress.end()
    return tuple(sorted(harms, key=lambda harm: -harm.harm_points))


def _harm(path: Path, pixels: NDArray[np.uint8], expected: NDArray[np.float32], threads: int | None) -> float:
    try:
        found = _run(path, pixels, threads)
    except ModelError:
        # Probabilities that are no numbers: nothing hurts more.
        return 100.0
    return float(50 * np.abs(found - expected).sum(axis=1).mean())


def _run(path: Path, pixels: NDArray[np.uint8], threads: int | None) -> NDArray[np.float32]:
    classifier = Classifier(path, threads=threads)
    parts = [classifier.probabilities(pixels[at : at + BATCH]) for at in range(0, len(pixels), BATCH)]
    return np.concatenate(parts)
