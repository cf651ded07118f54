"""What the classifier answers for one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.setting_kinds import as_kind

if TYPE_CHECKING:
    from edge_runtime.model.card import OperatingPoint
    from edge_runtime.model.card_kind import Kind

UNKNOWN = "unknown"
"""What stands in a label's place where none is probable enough, or the picture is unlike all training."""


class LabelProbability(NamedTuple):
    """One label and its probability in 0..1."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Probabilities of one image: `probabilities` is float32 `[classes]`, in the order of `labels`.

    Of two labels an `operating_point` may decide, where the model has one. A classifier that was asked to reject what
    is unlike training says in `unlikeness` which share of known pictures is less unlike it, in 0..1, and in `unlike`
    whether the picture is rejected: then `label` is `unknown`, while `probability` and `top` stay as they are. One that
    was asked for distances says in `distance` how far from training's pictures this one lies, 0..2.

    A model that gives several labels answers with a `MultiLabelPrediction`, one of several tasks with a
    `MultiTaskPrediction`.
    """

    image: str
    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]
    operating_point: OperatingPoint | None = None
    unlikeness: float | None = None
    unlike: bool = False
    distance: float | None = None

    @property
    def label(self) -> str:
        """The most probable label; with an operating point, the positive one from its threshold on, else the other.

        `unknown` where the picture is rejected.
        """
        return UNKNOWN if self.unlike else self.labels[self._place]

    @property
    def kind(self) -> Kind:
        """What a picture has by this model: one label, any number of labels, or one for each task."""
        return "single-label"

    @property
    def given(self) -> tuple[str, ...]:
        """The labels that the picture is given: `label` alone, and none where it is rejected."""
        return () if self.unlike else (self.label,)

    @property
    def tasks(self) -> Mapping[str, Prediction]:
        """The answer for each task by its name; empty where the model has one question alone."""
        return {}

    def told(self, min_confidence: float = 0.0) -> str:
        """The answer on one line: `label`, or `unknown` where it is withheld."""
        return UNKNOWN if self.is_withheld(min_confidence) else self.label

    def is_withheld(self, min_confidence: float) -> bool:
        """Whether `label` is less probable than `min_confidence`, and not what an operating point gives as positive.

        Its threshold says from where on the positive label must not be missed, however improbable that is.
        """
        point = self.operating_point
        is_positive = point is not None and self.labels[self._place] == point.positive
        return self.probability < min_confidence and not is_positive

    @property
    def probability(self) -> float:
        """The probability of `label`, in 0..1; of a rejected picture that of the label it would have had."""
        return float(self.probabilities[self._place])

    @property
    def _place(self) -> int:
        point = self.operating_point
        if point is None:
            return int(self.probabilities.argmax())
        positive = self.labels.index(point.positive)
        return positive if float(self.probabilities[positive]) >= point.threshold else 1 - positive

    def top(self, k: int = 5) -> tuple[LabelProbability, ...]:
        """The `k` most probable labels (or all there are), most probable first; ties in label order."""
        k = as_kind(k, int, "`k`")
        order = np.argsort(-self.probabilities, kind="stable")[: max(k, 0)]
        return tuple(LabelProbability(self.labels[i], float(self.probabilities[i])) for i in order)

    def to_json(self, k: int = 5, *, min_confidence: float = 0.0) -> dict[str, Any]:
        """The answer as `edge predict --json` prints it, with the `k` most probable labels.

        Where `label` is withheld for `min_confidence` it is `unknown`; `top` says what it might be. Where an
        operating point decided, `positive` says of which label, `threshold` from which probability on. Where what is
        unlike training is rejected, `unlike` says whether this is, `unlikeness` how unlike it is.
        """
        top = [row._asdict() for row in self.top(k)]
        value = {"image": self.image, "label": self.told(min_confidence), "probability": self.probability, "top": top}
        if self.operating_point is not None:
            value |= {"positive": self.operating_point.positive, "threshold": self.operating_point.threshold}
        if self.unlikeness is not None:
            value |= {"unlike": self.unlike, "unlikeness": self.unlikeness}
        return value
