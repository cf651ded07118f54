"""The whole validation split, classified by the file, and beside it by the checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_export.proof.answers import Model, Pixels
from edge_export.proof.parity import MAX_DIFFERENCE, same_top1
from edge_export.proof.pictures import spread, stream
from edge_runtime import ParityError, Progress, Sample, measure

__all__ = ["REFERENCE_IMAGES", "SplitAccuracy", "SplitReference", "compare_split"]

# A second pass in torch costs several times the first in onnxruntime; so many show any difference that matters.
REFERENCE_IMAGES = 1000


@dataclass(frozen=True, slots=True)
class SplitAccuracy:
    """Top-1 accuracy of a file on the whole split, and of the checkpoint on up to 1,000 images of it.

    `same_images_accuracy` is the file's on the very images the checkpoint ran on; `recorded_accuracy` is what
    training noted of this checkpoint on the whole split, None where it did not finish.
    """

    images: int
    unreadable: int
    accuracy: float
    expected_calibration_error: float
    checkpoint_images: int
    checkpoint_accuracy: float
    same_images_accuracy: float
    max_difference: float
    top1_agreement: float
    recorded_images: int | None = None
    recorded_accuracy: float | None = None
    differing: tuple[str, ...] = field(default=(), compare=False)

    def to_json(self) -> dict[str, Any]:
        """As the model card and export.json carry it."""
        return {
            "n": self.images,
            "unreadable": self.unreadable,
            "accuracy": self.accuracy,
            "checkpoint": {
                "n": self.checkpoint_images,
                "accuracy": self.checkpoint_accuracy,
                "accuracy_of_file": self.same_images_accuracy,
                "max_difference": self.max_difference,
                "top1_agreement": self.top1_agreement,
            },
            "recorded": {"n": self.recorded_images, "accuracy": self.recorded_accuracy},
        }

    def require_equal(self, what: str) -> None:
        """Raise ParityError unless the file answered the split as the checkpoint did."""
        if self.top1_agreement < 1 or self.max_difference > MAX_DIFFERENCE:
            raise ParityError(
                f"{what} does not equal its checkpoint on the validation split: top-1 agreement "
                f"{self.top1_agreement:.1%}, max |Δp| {self.max_difference:.2g} (allowed {MAX_DIFFERENCE:g}) on "
                f"{self.checkpoint_images} images, accuracy {self.same_images_accuracy:.1%} against "
                f"{self.checkpoint_accuracy:.1%}; most on {', '.join(self.differing)}",
                "nothing was written; please report this with the versions that edge doctor prints",
            )


class SplitReference:
    """The checkpoint's answers to up to 1,000 images of a split, computed once for all the files of an export.

    `samples` lie below `root`; `recorded` is the split's entry in the checkpoint's metrics.
    """

    def __init__(self, model: Model, root: Path, samples: Sequence[Sample], recorded: dict[str, Any]) -> None:
        self.model = model
        self.root = root
        self.samples = tuple(samples)
        self.recorded = recorded
        self._wanted = {sample.path for sample in spread(samples, REFERENCE_IMAGES)}
        self._known: dict[str, NDArray[np.float32]] = {}

    def among(self, samples: Sequence[Sample], pixels: Pixels) -> dict[int, NDArray[np.float32]]:
        """The probabilities, by position, of those of `samples` that the checkpoint is run on."""
        wanted = [index for index, sample in enumerate(samples) if sample.path in self._wanted]
        new = [index for index in wanted if samples[index].path not in self._known]
        if new:
            rows = self.model.answer(pixels[new]).probabilities
            self._known.update((samples[index].path, row) for index, row in zip(new, rows, strict=True))
        return {index: self._known[samples[index].path] for index in wanted}


def compare_split(reference: SplitReference, candidate: Model, progress: Progress, *, what: str) -> SplitAccuracy:
    """Classify every image of the split with the file, and compare with the checkpoint where that is run.

    Raises:
        ParityError: none of the images can be read.
    """
    truth: list[int] = []
    rows: list[NDArray[np.float32]] = []
    pairs: list[tuple[int, NDArray[np.float32]]] = []
    names: list[str] = []
    unreadable = 0
    progress.begin(f"{what} on the validation split", len(reference.samples))
    for batch in stream(candidate.preprocessing, reference.root, reference.samples):
        unreadable += batch.unreadable
        if len(batch.samples):
            expected = reference.among(batch.samples, batch.pixels)
            pairs += [(len(rows) + index, row) for index, row in expected.items()]
            rows += list(candidate.answer(batch.pixels).probabilities)
            truth += [sample.label for sample in batch.samples]
            names += [sample.path for sample in batch.samples]
        progress.advance(len(batch.samples) + batch.unreadable)
    progress.end()
    if not pairs:
        raise ParityError(
            f"none of the {unreadable} validation images can be read in {reference.root}, so nothing can be proven",
            "name the folder they are in now with `data`",
        )
    found = np.stack(rows)
    places = np.array([index for index, _ in pairs])
    expected_rows = np.stack([row for _, row in pairs])
    difference = np.nan_to_num(np.abs(found[places].astype(np.float64) - expected_rows), nan=1.0).max(axis=1)
    labels = np.array(truth, np.int64)
    whole = measure(candidate.labels, labels, found)
    worst = np.argsort(-difference)[:3]
    return SplitAccuracy(
        images=whole.n,
        unreadable=unreadable,
        accuracy=whole.accuracy,
        expected_calibration_error=whole.calibration_error,
        checkpoint_images=len(places),
        checkpoint_accuracy=float((expected_rows.argmax(axis=1) == labels[places]).mean()),
        same_images_accuracy=float((found[places].argmax(axis=1) == labels[places]).mean()),
        max_difference=float(difference.max()),
        top1_agreement=float(same_top1(expected_rows, found[places]).mean()),
        recorded_images=reference.recorded.get("n"),
        recorded_accuracy=reference.recorded.get("accuracy"),
        differing=tuple(f"{names[places[i]]} ({difference[i]:.2g})" for i in worst),
    )
