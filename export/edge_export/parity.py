"""Parity: the exported file gives what its checkpoint gives, or it is not shipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_runtime import Classifier, ImageError, ParityError, Preprocessing, Sample

__all__ = ["BATCH_SIZES", "MAX_DIFFERENCE", "Parity", "check_parity", "read_pixels", "run_file", "run_network"]

BATCH_SIZES = (1, 2, 5)
MAX_DIFFERENCE = 1e-4

Model = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a file is from its checkpoint: differences of probabilities over `images` real images."""

    images: int
    max_difference: float
    mean_difference: float
    top1_agreement: float
    batch_sizes: tuple[int, ...]

    @property
    def holds(self) -> bool:
        """Whether the largest difference is within 1e-4 and every top-1 label is the same."""
        return self.max_difference <= MAX_DIFFERENCE and self.top1_agreement == 1.0

    def to_json(self) -> dict[str, Any]:
        """As the model card carries it."""
        return {
            "images": self.images,
            "max_difference": self.max_difference,
            "mean_difference": self.mean_difference,
            "top1_agreement": self.top1_agreement,
            "batch_sizes": list(self.batch_sizes),
            "tolerance": MAX_DIFFERENCE,
        }


def run_network(network: nn.Module) -> Model:
    """The checkpoint's network as a function from pixels `[N, H, W, 3]` to probabilities `[N, classes]`."""

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            probabilities: NDArray[np.float32] = network(torch.from_numpy(pixels)).numpy()
        return probabilities

    return run


def run_file(path: Path) -> Model:
    """The exported ONNX file, through the runtime that will serve it."""
    return Classifier(path).probabilities


def check_parity(
    reference: Model,
    candidate: Model,
    pixels: NDArray[np.uint8],
    names: Sequence[str],
    *,
    what: str,
    temperature: float = 1.0,
) -> Parity:
    """Compare two models on `pixels`, uint8 `[N, H, W, 3]`, in batches of 1, 2 and 5.

    The reference runs image by image, so a file whose batch is not truly dynamic is found out. A
    `temperature` above 1 flattens probabilities and would hide differences, so they are compared with it
    undone, too, and the larger difference counts.

    Raises:
        ParityError: a difference above 1e-4 or another top-1 label; it names the images that differ most.
    """
    expected = np.concatenate([reference(pixels[at : at + 1]) for at in range(len(pixels))])
    worst = np.zeros(len(pixels))
    total, agreement = 0.0, 1.0
    for size in BATCH_SIZES:
        try:
            parts = [candidate(pixels[at : at + size]) for at in range(0, len(pixels), size)]
        except Exception as error:  # onnxruntime's and torch's own exceptions share no base class
            raise ParityError(f"{what} cannot run batches of {size}: {error}", _HINT) from error
        found = np.concatenate(parts)
        if found.shape != expected.shape:
            raise ParityError(f"{what} gives {found.shape} probabilities, the checkpoint {expected.shape}", _HINT)
        difference = _difference(expected, found)
        if temperature > 1:
            sharp = (_sharpen(probabilities, temperature) for probabilities in (expected, found))
            difference = np.maximum(difference, _difference(*sharp))
        worst = np.maximum(worst, difference.max(axis=1))
        total += float(difference.mean())
        agreement = min(agreement, float(_same_top1(expected, found).mean()))
    parity = Parity(len(pixels), float(worst.max()), total / len(BATCH_SIZES), agreement, BATCH_SIZES)
    if not parity.holds:
        order = np.argsort(-worst)[:3]
        examples = ", ".join(f"{names[i]} ({worst[i]:.2g})" for i in order)
        raise ParityError(
            f"{what} does not equal its checkpoint: max |Δp| {parity.max_difference:.2g} (allowed {MAX_DIFFERENCE:g}), "
            f"top-1 agreement {agreement:.1%} on {len(pixels)} images; most on {examples}",
            _HINT,
        )
    return parity


def _difference(expected: NDArray[Any], found: NDArray[Any]) -> NDArray[np.float64]:
    """|Δp|; NaN counts as the largest difference there is, never as none."""
    difference: NDArray[np.float64] = np.nan_to_num(np.abs(found.astype(np.float64) - expected), nan=1.0)
    return difference


def _sharpen(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """What softmax(logits / temperature) would be at temperature 1."""
    powers = probabilities.astype(np.float64) ** temperature
    sharp: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return sharp


def _same_top1(expected: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether the top-1 labels agree; two labels that the reference itself ranks equal to 1e-6 are a tie."""
    chosen = np.take_along_axis(expected, found.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]
    same: NDArray[np.bool_] = chosen >= expected.max(axis=1) - 1e-6
    return same


def read_pixels(
    preprocessing: Preprocessing, root: Path, samples: Sequence[Sample]
) -> tuple[NDArray[np.uint8], list[str]]:
    """The model's input for `samples`, uint8 `[N, H, W, 3]`, and their names; unreadable ones are left out."""
    pixels, names = [], []
    for sample in samples:
        try:
            pixels.append(preprocessing(root / sample.path))
        except ImageError:
            continue
        names.append(sample.path)
    size = (0, preprocessing.height_px, preprocessing.width_px, 3)
    return (np.stack(pixels) if pixels else np.zeros(size, np.uint8)), names


_HINT = "nothing was written; please report this with the versions that edge doctor prints"
