"""How far from training's pictures known pictures lie: the scale that says of a distance how unlike them it is."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from edge_runtime.errors import ModelError, UsageError

METHOD = "nearest-centre"
# One more than a card holds are the steps of the scale: half a per cent each.
MOST_DISTANCES = 199
# The picture that just passes must not be lost by another batch's or processor's last digits.
_ROUNDING, _PARTS = 1e-6, 10**6
_AGAIN = "export it again with edge export"
_TRIED_SHARES = (0.01, 0.02, 0.05, 0.1)


@dataclass(frozen=True, slots=True)
class UnlikeScale:
    """The distances of validation's pictures from what training's look like, ascending, as the file answers them.

    They are all `n` of them, or of more than `MOST_DISTANCES` so many, evenly spaced by rank. `centres` stand for the
    `training_images` in the file. A new picture of the known classes is as likely in one place between two distances as
    in any other, which makes refusing by them exact (conformal p-values: Bates et al. 2023, "Testing for outliers with
    conformal p-values", section 2), as long as the pictures come from where validation's did.
    """

    distances: tuple[float, ...]
    n: int
    centres: int
    training_images: int

    @classmethod
    def of(cls, distances: Iterable[float], *, centres: int, training_images: int) -> UnlikeScale:
        """The scale of the distances of known pictures, of which none was trained on."""
        ranked = sorted(map(float, distances))
        steps = min(len(ranked), MOST_DISTANCES)
        # Ranks are rounded up, so that no more is refused than the steps say.
        places = [math.ceil(step * (len(ranked) + 1) / (steps + 1)) - 1 for step in range(1, steps + 1)]
        kept = tuple(math.ceil((ranked[place] + _ROUNDING) * _PARTS) / _PARTS for place in places)
        return cls(kept, len(ranked), centres, training_images)

    def unlikeness(self, distance: float) -> float:
        """The share of known pictures that lie nearer than `distance`, at least 0 and below 1."""
        return bisect_left(self.distances, distance) / (len(self.distances) + 1)

    def threshold(self, share: float) -> float:
        """The distance from beyond which pictures are refused so that at most `share` of the known ones, in 0..1, are.

        Raises:
            UsageError: fewer pictures were measured than such a share can be told by.
        """
        steps = len(self.distances) + 1
        # That no number is one lies between no two.
        refused = math.floor(share * steps + 1e-9) if 0 < share < 1 else 0
        if not 0 < refused < steps:
            raise UsageError(
                f"`reject_unlike` {share:g}: {self.n} validation pictures tell shares from {self.least_share:.4f} on",
                "give a larger share, below 1",
            )
        return self.distances[-refused]

    @property
    def least_share(self) -> float:
        """The smallest share of known pictures that can be promised."""
        return 1 / (len(self.distances) + 1)

    def costs(self) -> dict[float, float]:
        """Of some shares that can be asked for, the share of validation's own pictures that lie beyond."""
        return {share: self.beyond(self.threshold(share)) for share in _TRIED_SHARES if share >= self.least_share}

    def beyond(self, threshold: float) -> float:
        """The share of validation's pictures that lie beyond a distance, by those that are kept."""
        return 1 - bisect_right(self.distances, threshold) / len(self.distances)

    def to_json(self) -> dict[str, Any]:
        """As a card carries it."""
        return {
            "method": METHOD,
            "n": self.n,
            "centres": self.centres,
            "training_images": self.training_images,
            "distances": list(self.distances),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], *, where: str) -> UnlikeScale | None:
        """The one in a card; None where it is of a method of a later edge. Raises ModelError where it is malformed."""
        if value.get("method") != METHOD:
            return None
        distances = value.get("distances")
        counts = [value.get(key) for key in ("n", "centres", "training_images")]
        n, centres, training_images = (count if type(count) is int else 0 for count in counts)
        if not _ascending(distances) or min(n, centres, training_images) < 1:
            raise ModelError(f"{where}: 'unlike' in its 'edge' metadata is malformed", _AGAIN)
        return cls(tuple(map(float, distances)), n, centres, training_images)


def _ascending(distances: Any) -> TypeGuard[list[float]]:
    if not isinstance(distances, list) or not distances:
        return False
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in distances)
    return numbers and distances == sorted(distances)
