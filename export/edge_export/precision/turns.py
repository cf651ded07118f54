"""What one image costs, contestant against contestant, by turns: a machine that gets busy slows all of them alike.

`edge bench` measures with more care; this decides which of three files to ship.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

__all__ = ["Call", "Latency", "Timer", "time_by_turns"]

Call: TypeAlias = Callable[[], object]

WARM_UP_RUNS = 5
CALLS_A_TURN = 3
LEAST_ROUNDS = 20
LEAST_S = 3.0
# However slow a board is: a twenty-fold ResNet-50 on a Pi ends within this.
MOST_S = 60.0

# Faster means by more than the clock's and the caches' moods, and not only on average.
FASTER_BY = 0.03
ROUNDS_WON = 0.75


@dataclass(frozen=True, slots=True)
class Latency:
    """Durations of single calls in ms: one inner tuple for each round, rounds in the order they were made."""

    rounds_ms: tuple[tuple[float, ...], ...]

    @property
    def runs(self) -> int:
        """How many calls were timed."""
        return sum(len(turn) for turn in self.rounds_ms)

    @property
    def p50_ms(self) -> float:
        """The median call."""
        return self._percentile(50)

    @property
    def p90_ms(self) -> float:
        """Nine of ten calls took no longer."""
        return self._percentile(90)

    def _percentile(self, percent: float) -> float:
        return float(np.percentile([ms for turn in self.rounds_ms for ms in turn], percent))

    def is_faster_than(self, other: Latency) -> bool:
        """Whether this is faster beyond noise: its median by 3 % and more, and in three of four rounds."""
        pairs = zip(self.rounds_ms, other.rounds_ms, strict=False)
        won = [float(np.median(own)) < float(np.median(theirs)) for own, theirs in pairs]
        return self.p50_ms <= other.p50_ms * (1 - FASTER_BY) and sum(won) >= ROUNDS_WON * len(won)


Timer: TypeAlias = Callable[[Sequence[Call]], Sequence[Latency]]


def time_by_turns(
    calls: Sequence[Call], *, least_rounds: int = LEAST_ROUNDS, least_s: float = LEAST_S, most_s: float = MOST_S
) -> list[Latency]:
    """Time `calls` in rounds of three runs each: `least_rounds` and `least_s` for each call, `most_s` for them all."""
    for call in calls:
        for _ in range(WARM_UP_RUNS):
            call()
    rounds: list[list[tuple[float, ...]]] = [[] for _ in calls]
    start = time.perf_counter()
    while True:
        for done, call in zip(rounds, calls, strict=True):
            # The caches still hold the neighbour's weights; on the device a model has no neighbour.
            call()
            done.append(tuple(_time_ms(call) for _ in range(CALLS_A_TURN)))
        spent = time.perf_counter() - start
        enough = len(rounds[0]) >= least_rounds and spent >= least_s * len(calls)
        if enough or spent >= most_s:
            return [Latency(tuple(done)) for done in rounds]


def _time_ms(call: Call) -> float:
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e6
