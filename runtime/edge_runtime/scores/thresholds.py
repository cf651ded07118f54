"""A threshold for one of two classes, chosen for the sensitivity it must reach, and what it does on other images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import UsageError
from edge_runtime.files.labelling import find_label
from edge_runtime.model.card import OperatingPoint
from edge_runtime.scores.accuracy import wilson_interval

MIN_SENSITIVITY = 0.95
# Files are held to their checkpoint to so much: the last image that is to be found must not be lost by rounding.
ROUNDING = 1e-4


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What becomes of images at a threshold: those of the positive class `found` and `missed`, of the other one those
    `alarmed`, taken for it, and those `left` alone."""

    found: int
    missed: int
    alarmed: int
    left: int

    def to_json(self) -> dict[str, Any]:
        """As cards and summaries carry it; what has no images to be measured on is None."""
        return {
            "sensitivity": _share(self.found, self.missed),
            "sensitivity_interval_95": _interval(self.found, self.missed),
            "specificity": _share(self.left, self.alarmed),
            "specificity_interval_95": _interval(self.left, self.alarmed),
            "precision": _share(self.found, self.alarmed),
            "found": self.found,
            "missed": self.missed,
            "alarmed": self.alarmed,
            "left": self.left,
        }


def check_positive(positive: str, labels: tuple[str, ...]) -> str:
    """The one of two labels that `positive` is, in whatever Unicode form. Raises UsageError where it is none."""
    if len(labels) != 2:
        raise UsageError(f"`positive` {positive} is for two classes, but there are {len(labels)}", "drop `positive`")
    found = find_label(positive, labels)
    if found is None:
        raise UsageError(f"`positive` {positive} is not one of the classes", f"there are {labels[0]} and {labels[1]}")
    return found


def choose_operating_point(
    labels: tuple[str, ...],
    positive: str,
    min_sensitivity: float,
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float32],
) -> OperatingPoint:
    """The largest threshold at which at least `min_sensitivity`, in 0..1, of the positive validation images are found.

    `truth` is `[N]`, `probabilities` `[N, 2]`. The threshold lies a little below the score of the last image that must
    be found, by 1e-4 at most and never past another image.

    Raises:
        UsageError: not two labels, none of them `positive`, or no image of it to choose by.
    """
    positive = check_positive(positive, labels)
    scores = probabilities[:, labels.index(positive)].astype(np.float64)
    wanted = np.sort(scores[truth == labels.index(positive)])[::-1]
    if not len(wanted):
        raise UsageError(
            f"no validation image is of {positive}, so no threshold can be chosen", "add some, or drop `positive`"
        )
    enough = np.arange(1, len(wanted) + 1) / len(wanted) >= min_sensitivity - 1e-12
    last = float(wanted[int(enough.argmax())])
    below = float(scores[scores < last].max(initial=0.0))
    threshold = max(0.0, last - min(ROUNDING, (last - below) / 2))
    return OperatingPoint(positive, threshold, min_sensitivity, len(truth), len(wanted))


def choose_answers(
    labels: tuple[str, ...], probabilities: NDArray[np.float32], point: OperatingPoint | None
) -> NDArray[np.int64]:
    """What `Prediction.label` is for each row of probabilities `[N, classes]`, as the class's number, `[N]`."""
    most_probable: NDArray[np.int64] = probabilities.argmax(axis=1)
    if point is None:
        return most_probable
    place = labels.index(point.positive)
    said = probabilities[:, place].astype(np.float64) >= point.threshold
    return np.where(said, place, 1 - place)


def measure_at(
    point: OperatingPoint, labels: tuple[str, ...], truth: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> AtThreshold:
    """What the threshold does to images of true classes `[N]` and probabilities `[N, 2]`."""
    place = labels.index(point.positive)
    positive, said = truth == place, probabilities[:, place].astype(np.float64) >= point.threshold
    return AtThreshold(
        int((positive & said).sum()),
        int((positive & ~said).sum()),
        int((~positive & said).sum()),
        int((~positive & ~said).sum()),
    )


def _share(part: int, rest: int) -> float | None:
    return part / (part + rest) if part + rest else None


def _interval(part: int, rest: int) -> list[float] | None:
    return list(wilson_interval(part, part + rest)) if part + rest else None
