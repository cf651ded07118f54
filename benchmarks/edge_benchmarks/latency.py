"""How long a call takes: warm-up until stable, then many calls, the contestants taking turns.

The conventions are MLPerf Inference's single stream (one call after the other, the 90th percentile counts) and
hyperfine's (warm-up first, n and spread beside every figure). Nothing that was timed is ever dropped.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

__all__ = ["Call", "Plan", "Timings", "take_turns", "warm_up"]

Call: TypeAlias = Callable[[], object]

# The highest percentile that so few samples can carry: with fewer than 100 the 99th is the maximum by another name.
P99_NEEDS = 100

WARM_UP_RUNS = 10
WARM_UP_MOST_S = 5.0
STABLE_WITHIN = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure each contestant.

    Each gets `rounds` turns, together of `duration_s` seconds. One with fewer than `least_runs` calls by then goes on
    until it has them, or has used `most_durations` times its duration: a slow model on a slow board ends as well.
    """

    duration_s: float = 3.0
    rounds: int = 10
    least_runs: int = 100
    most_durations: float = 10.0

    @property
    def turn_s(self) -> float:
        """Seconds of one turn."""
        return self.duration_s / self.rounds

    def is_done(self, spent_s: float, runs: int) -> bool:
        """Whether a contestant that spent so many seconds on so many calls has been measured enough."""
        if runs >= self.least_runs:
            return spent_s >= self.duration_s
        return spent_s >= self.duration_s * self.most_durations


@dataclass(frozen=True, slots=True)
class Timings:
    """Durations of single calls in milliseconds, in the order they were made; at least one."""

    times_ms: tuple[float, ...]

    @property
    def n(self) -> int:
        """How many calls were timed."""
        return len(self.times_ms)

    @property
    def total_s(self) -> float:
        """All calls together, in seconds."""
        return math.fsum(self.times_ms) / 1000

    def percentile_ms(self, percent: float) -> float:
        """The percentile, linear between neighbours (method 7 of Hyndman and Fan, 1996: numpy's own)."""
        return float(np.percentile(self.times_ms, percent))

    def to_json(self) -> dict[str, Any]:
        """Percentiles, extremes, mean and standard deviation in ms, and n; `p99_ms` is null where n is below 100."""
        return {
            "p50_ms": self.percentile_ms(50),
            "p90_ms": self.percentile_ms(90),
            "p99_ms": self.percentile_ms(99) if self.n >= P99_NEEDS else None,
            "min_ms": min(self.times_ms),
            "max_ms": max(self.times_ms),
            "mean_ms": math.fsum(self.times_ms) / self.n,
            "std_ms": float(np.std(self.times_ms)),
            "n": self.n,
        }


def warm_up(call: Call, *, least_s: float = 1.0, most_s: float = WARM_UP_MOST_S) -> int:
    """Call until it is stable, and return how many calls that took.

    Stable: at least 10 calls and `least_s` seconds, and the medians of the last five and the five before are within
    5 % of each other. After `most_s` seconds it ends however things stand, but not before 2 calls.
    """
    times: list[float] = []
    begin = time.perf_counter()
    while True:
        start = time.perf_counter()
        call()
        end = time.perf_counter()
        times.append(end - start)
        spent = end - begin
        if len(times) >= 2 and spent >= most_s:
            return len(times)
        if len(times) >= WARM_UP_RUNS and spent >= least_s and _is_stable(times):
            return len(times)


def _is_stable(times: Sequence[float]) -> bool:
    before, last = float(np.median(times[-10:-5])), float(np.median(times[-5:]))
    return abs(last - before) <= STABLE_WITHIN * before


def take_turns(calls: Sequence[Call], plan: Plan, *, after_turn: Callable[[], object] = lambda: None) -> list[Timings]:
    """Time `calls` in turns, so that a machine that heats up or gets busy slows all of them alike.

    `after_turn` is called after each of the first `plan.rounds` times `len(calls)` turns, for a progress bar.
    """
    times: list[list[float]] = [[] for _ in calls]
    spent = [0.0 for _ in calls]
    turns = 0
    while True:
        waiting = [i for i in range(len(calls)) if not plan.is_done(spent[i], len(times[i]))]
        if not waiting:
            break
        for i in waiting:
            made = _turn(calls[i], plan.turn_s)
            times[i] += made
            spent[i] += math.fsum(made)
            turns += 1
            if turns <= plan.rounds * len(calls):
                after_turn()
    return [Timings(tuple(seconds * 1000 for seconds in made)) for made in times]


def _turn(call: Call, turn_s: float) -> list[float]:
    """The seconds of each call of one turn; at least one call."""
    # The caches still hold the neighbour's weights; on the device a model has no neighbour.
    call()
    made: list[float] = []
    clock = time.perf_counter_ns
    with _no_collection():
        until = clock() + int(turn_s * 1e9)
        while True:
            start = clock()
            call()
            end = clock()
            made.append((end - start) / 1e9)
            if end >= until:
                return made


@contextmanager
def _no_collection() -> Iterator[None]:
    # A collection walks every object in the process, torch's hundred thousands included: not the model's time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
