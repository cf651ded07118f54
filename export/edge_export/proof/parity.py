"""Parity: the exported file gives what its checkpoint gives, or it is not shipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_export.proof.answers import Answers, Model, Pixels
from edge_export.proof.decision import MAX_DIFFERENCE, Decision, same_top1, undo_temperature
from edge_export.proof.sample_images import Picture, read_pictures
from edge_runtime import ParityError

BATCH_SIZES = (1, 2, 5)
# Relative to the largest component: no softmax dampens what fifty layers made of the last bit.
MAX_EMBEDDING_DIFFERENCE = 1e-3


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a file is from its checkpoint over `images` real pictures and `hostile_images` made ones.

    Differences are of probabilities. `embedding_difference` is the largest one of an embedding's components,
    relative to the largest component of all where that is above 1. `tolerance` is None where the file's
    precision makes differences, and its accuracy is what is held to a bound.
    """

    images: int
    hostile_images: int
    max_difference: float
    mean_difference: float
    top1_agreement: float
    batch_sizes: tuple[int, ...] = BATCH_SIZES
    embedding_difference: float | None = None
    tolerance: float | None = MAX_DIFFERENCE
    worst: tuple[tuple[str, float], ...] = field(default=(), compare=False)

    @property
    def holds(self) -> bool:
        """Whether the largest difference is within the tolerance and every top-1 label is the same."""
        if self.tolerance is None:
            return True
        return (
            self.max_difference <= self.tolerance
            and self.top1_agreement == 1.0
            and (self.embedding_difference or 0.0) <= MAX_EMBEDDING_DIFFERENCE
        )

    def to_json(self) -> dict[str, Any]:
        """As the model card carries it."""
        value: dict[str, Any] = {
            "images": self.images,
            "hostile_images": self.hostile_images,
            "max_difference": self.max_difference,
            "mean_difference": self.mean_difference,
            "top1_agreement": self.top1_agreement,
            "batch_sizes": list(self.batch_sizes),
            "tolerance": self.tolerance,
        }
        if self.embedding_difference is not None:
            value["embedding_difference"] = self.embedding_difference
        return value


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What the checkpoint answers to the pictures of the proof; its pixels are uint8 `[N, H, W, 3]`."""

    model: Model
    pictures: tuple[Picture, ...]
    pixels: Pixels
    answers: Answers


def expect(model: Model, pictures: Sequence[Picture]) -> Expected:
    """Run the checkpoint on the pictures that can be read, one by one.

    One by one, so that a file whose batch is not truly dynamic is found out.
    """
    kept, pixels = read_pictures(model.preprocessing, pictures)
    answers = _join([model.answer(pixels[at : at + 1]) for at in range(len(pixels))])
    return Expected(model, tuple(kept), pixels, answers)


def check_parity(
    expected: Expected,
    candidate: Model,
    *,
    what: str,
    temperature: float = 1.0,
    tolerance: float | None = MAX_DIFFERENCE,
    decision: Decision | None = None,
) -> Parity:
    """Compare a file with what was expected of it, in batches of 1, 2 and 5; `what` names it in errors.

    Each side sees the pictures through its own preprocessing, so that a file which states another one is
    found out. A `temperature` above 1 flattens probabilities and would hide differences, so they are compared
    with it undone, too, and the larger difference counts. A `decision` says what is undone, and what answers alike, of
    other models than of one label at one temperature.

    Raises:
        ParityError: other labels, a difference above `tolerance` or another top-1 label; it names the pictures
            that differ most. Without a tolerance, only what cannot be compared at all.
    """
    if candidate.labels != expected.model.labels:
        raise ParityError(f"{what} has other labels than its checkpoint", _HINT)
    pixels = expected.pixels
    if candidate.preprocessing != expected.model.preprocessing:
        _, pixels = read_pictures(candidate.preprocessing, expected.pictures)
    same = same_top1 if decision is None else decision.same

    def sharpen(probabilities: NDArray[np.float32]) -> NDArray[np.float64] | None:
        if decision is not None:
            return decision.sharpen(probabilities)
        return undo_temperature(probabilities, temperature) if temperature > 1 else None

    worst = np.zeros(len(pixels))
    embedding = 0.0
    total, agreement = 0.0, 1.0
    for size in BATCH_SIZES:
        found = _run(candidate, pixels, size, what)
        difference = _differences(expected.answers, found, what)
        sharp = [sharpen(each.probabilities) for each in (expected.answers, found)]
        if sharp[0] is not None and sharp[1] is not None:
            difference = np.maximum(difference, absolute_difference(sharp[0], sharp[1]))
        worst = np.maximum(worst, difference.max(axis=1))
        total += float(difference.mean())
        agreement = min(agreement, float(same(expected.answers.probabilities, found.probabilities).mean()))
        embedding = max(embedding, _embedding_difference(expected.answers, found, what))
    real = sum(not picture.hostile for picture in expected.pictures)
    order = np.argsort(-worst)[:3]
    parity = Parity(
        real,
        len(pixels) - real,
        float(worst.max()),
        total / len(BATCH_SIZES),
        agreement,
        embedding_difference=None if expected.answers.embeddings is None else embedding,
        tolerance=tolerance,
        worst=tuple((expected.pictures[i].name, float(worst[i])) for i in order),
    )
    if not parity.holds:
        raise ParityError(_say(parity, what), _HINT)
    if candidate.preprocessing != expected.model.preprocessing:
        # These pictures do not show it: a background colour matters to transparent ones alone.
        raise ParityError(f"{what} states another preprocessing than its checkpoint", _HINT)
    return parity


def _run(candidate: Model, pixels: Pixels, size: int, what: str) -> Answers:
    try:
        return _join([candidate.answer(pixels[at : at + size]) for at in range(0, len(pixels), size)])
    except Exception as error:  # onnxruntime's and torch's own exceptions share no base class
        raise ParityError(f"{what} cannot run batches of {size}: {error}", _HINT) from error


def _join(parts: Sequence[Answers]) -> Answers:
    embeddings = [part.embeddings for part in parts if part.embeddings is not None]
    return Answers(
        np.concatenate([part.probabilities for part in parts]), np.concatenate(embeddings) if embeddings else None
    )


def _differences(expected: Answers, found: Answers, what: str) -> NDArray[np.float64]:
    if found.probabilities.shape != expected.probabilities.shape:
        shapes = f"{found.probabilities.shape} probabilities, the checkpoint {expected.probabilities.shape}"
        raise ParityError(f"{what} gives {shapes}", _HINT)
    return absolute_difference(expected.probabilities, found.probabilities)


def _embedding_difference(expected: Answers, found: Answers, what: str) -> float:
    if expected.embeddings is None:
        return 0.0
    if found.embeddings is None or found.embeddings.shape != expected.embeddings.shape:
        raise ParityError(f"{what} lacks the embedding that was asked for", _HINT)
    scale = max(1.0, float(np.abs(expected.embeddings).max()))
    return float(absolute_difference(expected.embeddings / scale, found.embeddings / scale).max())


def absolute_difference(expected: NDArray[Any], found: NDArray[Any]) -> NDArray[np.float64]:
    """|Δ|; NaN counts as the largest difference there is, never as none."""
    difference: NDArray[np.float64] = np.nan_to_num(np.abs(found.astype(np.float64) - expected), nan=1.0)
    return difference


def _say(parity: Parity, what: str) -> str:
    examples = ", ".join(f"{name} ({difference:.2g})" for name, difference in parity.worst)
    embedding = parity.embedding_difference
    return (
        f"{what} does not equal its checkpoint: max |Δp| {parity.max_difference:.2g} (allowed {parity.tolerance:g}), "
        f"top-1 agreement {parity.top1_agreement:.1%} on {parity.images} validation images and "
        f"{parity.hostile_images} hostile ones"
        + ("" if embedding is None else f", embedding {embedding:.2g}")
        + f"; most on {examples}"
    )


_HINT = "nothing was written; please report this with the versions that edge doctor prints"
