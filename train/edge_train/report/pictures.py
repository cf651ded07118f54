"""The pictures of the report: what the model got most wrong, and some of what it got right."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_runtime import EdgeError, Sample, decode

SIDE_PX = 128


class Shown(Protocol):
    """What is told of one picture."""

    @property
    def path(self) -> str:
        """Where it lies, below the data root."""


T = TypeVar("T", bound=Shown)
QUALITY = 80
RIGHT_SHOWN = 12
# Where the data folder is gone, the report must not try each of ten thousand files.
TRIES_PER_PICTURE = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said of one image: indexes into the labels, probabilities in 0..1."""

    split: str
    path: str
    truth: int
    said: int
    confidence: float
    truth_probability: float

    @property
    def right(self) -> bool:
        """Whether it is the true label."""
        return self.said == self.truth


def answers(split: str, samples: Sequence[Sample], probabilities: NDArray[np.float32]) -> list[Answer]:
    """One answer per sample; `probabilities` is float32 `[N, classes]` in the samples' order."""
    said = probabilities.argmax(axis=1)
    return [
        Answer(split, sample.path, sample.label, int(best), float(row[best]), float(row[sample.label]))
        for sample, best, row in zip(samples, said, probabilities, strict=True)
    ]


def mistakes(found: Iterable[Answer]) -> list[Answer]:
    """The wrong answers, the most confident first."""
    wrong = (answer for answer in found if not answer.right)
    return sorted(wrong, key=lambda answer: (-answer.confidence, answer.path))


def right_ones(found: Iterable[Answer]) -> list[Answer]:
    """Right answers, each class in turn, and in a class from its median confidence towards the unsure ones.

    The most confident ones would show how good it can be, not how it is.
    """
    by_class: dict[int, list[Answer]] = {}
    for answer in found:
        if answer.right:
            by_class.setdefault(answer.truth, []).append(answer)
    ranked: list[list[Answer]] = []
    for label in sorted(by_class):
        ordered = sorted(by_class[label], key=lambda answer: (-answer.confidence, answer.path))
        middle = (len(ordered) - 1) // 2
        ranked.append(ordered[middle:] + ordered[:middle])
    wanted = RIGHT_SHOWN * TRIES_PER_PICTURE
    if len(ranked) > RIGHT_SHOWN:
        # More classes than places: spread over them rather than taking the first of the alphabet.
        places = np.linspace(0, len(ranked) - 1, RIGHT_SHOWN).round().astype(int)
        ranked = [ranked[int(place)] for place in places]
    in_turn = (group[turn] for turn in range(wanted) for group in ranked if turn < len(group))
    return list(islice(in_turn, wanted))


def thumbnails(found: Sequence[T], root: Path, *, most: int) -> list[tuple[T, str]]:
    """Up to `most` of `found`, each with its picture as a data URI; an image that cannot be read is left out."""
    shown = ((answer, _thumbnail(root / answer.path)) for answer in found[: most * TRIES_PER_PICTURE])
    return list(islice(((answer, data) for answer, data in shown if data), most))


def _thumbnail(path: Path) -> str:
    """The image as a JPEG data URI, its longer side at most 128 px; empty where it cannot be read."""
    try:
        image = decode(path, reduce_to_px=SIDE_PX)
        image.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
        file = BytesIO()
        image.save(file, "JPEG", quality=QUALITY, optimize=True)
    # A picture is an ornament of the report; whatever became of its file, the run is finished and must be told of.
    except (EdgeError, OSError, ValueError):
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
