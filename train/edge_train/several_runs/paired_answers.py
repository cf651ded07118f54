"""Whether two networks that answered the same images differ by more than chance: McNemar's exact test (1947)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The square of how many standard deviations 95 of 100 draws lie within.
_SQUARED_95 = 1.96**2


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Of `images` that two networks answered, `first` is how many the first alone has right, `second` the second."""

    images: int
    first: int
    second: int

    @classmethod
    def of(cls, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Disagreement:
        """That of two networks' answers to the same images, right or wrong, bool `[N]`."""
        return cls(len(first), int((first & ~second).sum()), int((second & ~first).sum()))

    @property
    def chance(self) -> float:
        """How likely equal networks are apart by so much or more, 0..1."""
        both, ways, tail = self.first + self.second, 1, 0
        for number in range(min(self.first, self.second) + 1):
            tail += ways
            ways = ways * (both - number) // (number + 1)
        return min(1.0, 2 * tail / (1 << both))

    @property
    def tells(self) -> bool:
        """Whether it is no chance, by the rule that is wrong five times in 100."""
        return self.chance < 0.05

    @property
    def images_needed(self) -> int | None:
        """About how many images would tell, to two digits, were they answered alike; None where it is even."""
        if self.first == self.second:
            return None
        ahead = self.first - self.second
        needed = _SQUARED_95 * self.images * (self.first + self.second) / ahead**2
        unit = int(10 ** max(0, len(str(int(needed))) - 2))
        return int(-(-needed // unit) * unit)

    def __str__(self) -> str:
        if self.first + self.second == 0:
            return "both have the same right"
        likely = f"p {self.chance:.2g}" if self.chance >= 0.001 else "p below 0.001"
        return f"{self.first:,} against {self.second:,} right where they differ, {likely} by McNemar's exact test"
