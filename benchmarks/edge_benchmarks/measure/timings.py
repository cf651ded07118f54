"""Durations of single calls, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

__all__ = ["PERCENTILES", "Timings"]

PERCENTILES = (50, 90, 95, 99)
# The highest percentile that so few samples can carry: with fewer than 100 the 99th is the maximum by another name.
P99_NEEDS = 100


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds of single calls by turn, in the order they were made; at least one call, and none was dropped.

    A turn is a stretch of calls without a pause. Calls of one turn resemble each other more than those of two, so an
    interval of a figure must be made from turns, not from calls.
    """

    turns_ms: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, times_ms: Iterable[float]) -> Self:
        """Calls that were each made by themselves: every one is its own turn."""
        return cls(tuple((time_ms,) for time_ms in times_ms))

    @property
    def times_ms(self) -> tuple[float, ...]:
        """All calls, one after the other."""
        return tuple(time_ms for turn in self.turns_ms for time_ms in turn)

    @property
    def n(self) -> int:
        """How many calls were timed."""
        return sum(len(turn) for turn in self.turns_ms)

    @property
    def total_s(self) -> float:
        """All calls together, in seconds."""
        return math.fsum(self.times_ms) / 1000

    def percentile_ms(self, percent: float) -> float:
        """The percentile, linear between neighbours (method 7 of Hyndman and Fan, 1996: numpy's own)."""
        return float(np.percentile(self.times_ms, percent))

    @property
    def p50_ms(self) -> float:
        """The median."""
        return self.percentile_ms(50)

    @property
    def p90_ms(self) -> float:
        """Nine of ten calls took no longer."""
        return self.percentile_ms(90)

    @property
    def spread(self) -> float:
        """How far the calls lie apart, as a share of the median: (p90 - p10) / p50."""
        low, middle, high = (self.percentile_ms(percent) for percent in (10, 50, 90))
        return (high - low) / middle if middle > 0 else 0.0

    def figures(self) -> dict[str, float | int | None]:
        """Percentiles, extremes, mean and standard deviation in ms, and n; `p99_ms` is None where n is below 100."""
        times = np.array(self.times_ms)
        found: dict[str, float | int | None] = {
            f"p{percent}_ms": float(np.percentile(times, percent)) for percent in PERCENTILES
        }
        if self.n < P99_NEEDS:
            found["p99_ms"] = None
        return found | {
            "min_ms": float(times.min()),
            "max_ms": float(times.max()),
            "mean_ms": math.fsum(times) / self.n,
            "std_ms": float(times.std()),
            "n": self.n,
        }

    def to_json(self) -> dict[str, Any]:
        """The figures and every call, by turn."""
        return {**self.figures(), "turns_ms": [list(turn) for turn in self.turns_ms]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What `to_json` gave. Raises KeyError, TypeError or ValueError where `value` is nothing like it."""
        turns = tuple(tuple(float(time_ms) for time_ms in turn) for turn in value["turns_ms"] if turn)
        if not turns or not all(math.isfinite(time_ms) and time_ms >= 0 for turn in turns for time_ms in turn):
            raise ValueError("turns_ms has no calls, or such as took no number of milliseconds")
        return cls(turns)
