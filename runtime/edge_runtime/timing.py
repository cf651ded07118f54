"""How long a call takes: warm-up until stable, then many calls, the contestants taking turns.

The conventions are MLPerf Inference's single stream (one call after the other, the 90th percentile counts) and
hyperfine's (warm-up first, n and spread beside every figure). Nothing that was timed is ever dropped.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, TypeAlias

import numpy as np

Call: TypeAlias = Callable[[], object]
# Given how many seconds and calls it takes at least, the milliseconds of each call; none from one that gives up.
Turn: TypeAlias = Callable[[float, int], Sequence[float]]

WARM_UP_RUNS = 10
# Of the least time: one that has not become stable by then will not.
WARM_UP_MOST = 5.0
STABLE_WITHIN = 0.05

PERCENTILES = (50, 90, 95, 99)
# The highest percentile that so few samples can carry: with fewer than 100 the 99th is the maximum by another name.
P99_NEEDS = 100

# Faster means by more than the clock's and the caches' moods, and not only on average.
FASTER_BY = 0.03
TURNS_WON = 0.75


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

    def __add__(self, later: Timings) -> Timings:
        """The turns of both, one after the other."""
        return Timings(self.turns_ms + later.turns_ms)

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


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure each contestant.

    Each gets `rounds` turns, together of `duration_s` seconds and `least_runs` calls at least. One that has too few
    calls by then goes on until it has them, or has used `most_durations` times its duration.
    """

    duration_s: float = 3.0
    rounds: int = 20
    least_runs: int = 100
    most_durations: float = math.inf

    @property
    def turn_s(self) -> float:
        """Seconds of one turn."""
        return self.duration_s / self.rounds

    @property
    def turn_runs(self) -> int:
        """Calls of one turn at least."""
        return math.ceil(self.least_runs / self.rounds)

    def is_done(self, spent_s: float, runs: int) -> bool:
        """Whether a contestant that spent so many seconds on so many calls has been measured enough."""
        if runs >= self.least_runs:
            return spent_s >= self.duration_s
        return spent_s >= self.duration_s * self.most_durations


@dataclass(frozen=True, slots=True)
class WarmUp:
    """How many calls a warm-up took, and whether they had become stable when it ended."""

    runs: int
    stable: bool


def warm_up(call: Call, *, least_s: float = 1.0, window: int = 5) -> WarmUp:
    """Call until it is stable: at least 10 calls and `least_s` seconds.

    Stable means that the medians of the last `window` calls and of as many before are within 5 % of each other; calls
    that take different pictures in turn need a window of all of them. After five times `least_s` it ends however
    things stand, but never before its 10 calls.
    """
    times: list[float] = []
    begin = time.perf_counter()
    while True:
        start = time.perf_counter()
        call()
        end = time.perf_counter()
        times.append(end - start)
        if len(times) >= WARM_UP_RUNS and end - begin >= least_s:
            stable = _is_stable(times, window)
            if stable or end - begin >= WARM_UP_MOST * least_s:
                return WarmUp(len(times), stable)


def _is_stable(times: Sequence[float], window: int) -> bool:
    if len(times) < 2 * window:
        return False
    before, last = float(np.median(times[-2 * window : -window])), float(np.median(times[-window:]))
    return abs(last - before) <= STABLE_WITHIN * before


def take_turns(calls: Sequence[Call], plan: Plan, *, after_turn: Callable[[], object] = lambda: None) -> list[Timings]:
    """Time `calls` of this process in turns, as `interleave` does."""
    return interleave([partial(time_calls, call) for call in calls], plan, after_turn=after_turn)


def interleave(turns: Sequence[Turn], plan: Plan, *, after_turn: Callable[[], object] = lambda: None) -> list[Timings]:
    """Time contestants in turns, so that a machine that heats up or gets busy slows all of them alike.

    `after_turn` is called after each of the first `plan.rounds` times `len(turns)` turns, for a progress bar. One whose
    turn comes to no call at all has given up, and gets no other.
    """
    times: list[list[tuple[float, ...]]] = [[] for _ in turns]
    spent_s, runs = [0.0 for _ in turns], [0 for _ in turns]
    taken = 0
    waiting = list(range(len(turns)))
    while waiting:
        for i in tuple(waiting):
            made = tuple(turns[i](plan.turn_s, plan.turn_runs))
            if not made:
                waiting.remove(i)
                continue
            times[i].append(made)
            spent_s[i] += math.fsum(made) / 1000
            runs[i] += len(made)
            taken += 1
            if taken <= plan.rounds * len(turns):
                after_turn()
            if plan.is_done(spent_s[i], runs[i]):
                waiting.remove(i)
    return [Timings(tuple(made)) for made in times]


def time_calls(call: Call, turn_s: float, least_runs: int = 1) -> list[float]:
    """The milliseconds of each call of one turn; at least one call, after one that is not timed."""
    # The caches still hold the neighbour's weights; on the device a model has no neighbour.
    call()
    made: list[float] = []
    clock = time.perf_counter_ns
    # A collection walks every object in the process, torch's hundred thousands included: not the model's time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        until = clock() + int(turn_s * 1e9)
        while True:
            start = clock()
            call()
            end = clock()
            made.append((end - start) / 1e6)
            if end >= until and len(made) >= least_runs:
                return made
    finally:
        if was_enabled:
            gc.enable()


def is_faster(one: Timings, other: Timings) -> bool:
    """Whether one is faster than the other beyond noise: its median by 3 % and more, and in three of four turns."""
    pairs = zip(one.turns_ms, other.turns_ms, strict=False)
    won = [float(np.median(own)) < float(np.median(theirs)) for own, theirs in pairs]
    return one.p50_ms <= other.p50_ms * (1 - FASTER_BY) and sum(won) >= TURNS_WON * len(won)
