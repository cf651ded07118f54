"""The last answers of a model in use, against those it gave on validation: has what it sees changed?

Nobody says on a device which answers are right. But a calibrated model is as sure on average as it is right (Guo et al.
2017), so mean confidence below validation's accuracy says that it is right less often by about as much (average
confidence, Guillory et al. 2021, section 3), as long as what it sees is not wholly new; and labels in other shares than
in validation say that other things come, or other things are taken for them. A model that knows how far a picture lies
from training's says it before any label changes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from edge_runtime.errors import UsageError
from edge_runtime.model.card import CROSS_VALIDATED, ModelCard

WINDOW = 1_000
_LABELS_SHOWN = 20
_DISTANCES = ("distance", "distance_expected", "unlikeness")


class _Seen(NamedTuple):
    label: str
    probability: float
    unlike: bool
    distance: float | None


class AnswerWindow:
    """The last `size` answers of a model with that card.

    Raises UsageError where the model gives several labels, or a label for each of several tasks.
    """

    def __init__(self, card: ModelCard, size: int = WINDOW) -> None:
        if card.kind != "single-label":
            raise UsageError(
                f"this is a {card.kind} model: `drift` is for those of one label a picture", "leave it out"
            )
        figures = card.metrics.get("val") or card.metrics.get(CROSS_VALIDATED) or {}
        accuracy = figures.get("accuracy")
        self._accuracy = float(accuracy) if isinstance(accuracy, int | float) else None
        self._shares = _validation_shares(figures)
        self._scale = card.unlike
        self._seen: deque[_Seen] = deque(maxlen=size)
        self.images = 0

    def add(self, label: str, probability: float, *, unlike: bool = False, distance: float | None = None) -> None:
        """One more answer: the most probable label, its probability, and whether it was refused as unlike training.

        `distance` is how far the picture lies from training's, as the file's output of that name says.
        """
        self._seen.append(_Seen(label, probability, unlike, distance))
        self.images += 1

    def figures(self) -> dict[str, Any]:
        """As a line of the record has them; all but `images`, those ever seen, are of the window.

        `confidence` is the mean probability of the answers, `confidence_p10` that below which a tenth of them lie,
        `expected` validation's accuracy, `labels` the shares of the labels, the commonest 20 of them,
        `labels_distance` their total variation distance from validation's (0..1), `unlike` the share that was refused.
        `distance` is the mean distance from training's pictures, `distance_expected` that of validation's pictures, and
        `unlikeness` the mean share of validation's pictures that lie nearer than those of the window, 0.5 where the
        window's are like them. What is not known is None.
        """
        seen = self._seen
        if not seen:
            return {"images": 0, "window": 0}
        sure = np.array([each.probability for each in seen])
        counts = Counter(each.label for each in seen)
        shares = {label: count / len(seen) for label, count in counts.most_common()}
        return {
            "images": self.images,
            "window": len(seen),
            "confidence": float(sure.mean()),
            "confidence_p10": float(np.percentile(sure, 10)),
            "expected": self._accuracy,
            "labels": dict(list(shares.items())[:_LABELS_SHOWN]),
            "labels_distance": self._distance(shares),
            "unlike": sum(each.unlike for each in seen) / len(seen),
            **self._distances(),
        }

    def _distances(self) -> dict[str, float | None]:
        far = [each.distance for each in self._seen if each.distance is not None]
        scale = self._scale
        if scale is None:
            return dict.fromkeys(_DISTANCES)
        unlike = [scale.unlikeness(each) for each in far]
        found = (np.mean(far) if far else None, np.mean(scale.distances), np.mean(unlike) if far else None)
        return {name: None if each is None else float(each) for name, each in zip(_DISTANCES, found, strict=True)}

    def _distance(self, shares: Mapping[str, float]) -> float | None:
        if not self._shares:
            return None
        names = shares.keys() | self._shares.keys()
        return sum(abs(shares.get(name, 0.0) - self._shares.get(name, 0.0)) for name in names) / 2


def _validation_shares(figures: Mapping[str, Any]) -> dict[str, float]:
    """Each label's share of the validation images; empty where the card does not say."""
    rows = figures.get("per_class")
    if not isinstance(rows, list):
        return {}
    counts = {
        row["label"]: row["support"]
        for row in rows
        if isinstance(row, dict) and isinstance(row.get("label"), str) and type(row.get("support")) is int
    }
    total = sum(counts.values())
    return {label: count / total for label, count in counts.items()} if total > 0 else {}
