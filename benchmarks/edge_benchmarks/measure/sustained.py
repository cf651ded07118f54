"""Minutes without a pause: what a model costs once the machine has become hot."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edge_benchmarks.machine.thermal import Series
from edge_benchmarks.plain_data import PlainData
from edge_runtime import Sensors, Turn

MINUTE_S = 60.0
# A run too short for two minutes still shows a course.
SHORT_BUCKETS = 6
TURN_S = 1.0


@dataclass(frozen=True, slots=True)
class Bucket(PlainData):
    """A minute, or what is left of it: from `start_s` on, `seconds` long; sensors as seen meanwhile."""

    start_s: float
    seconds: float
    p50_ms: float
    p90_ms: float
    n: int
    temperature_c: float | None
    clock_mhz: float | None


@dataclass(frozen=True, slots=True)
class Sustained(PlainData):
    """One model's minutes, in order; `throttled` is what held the machine back in them, None where it doesn't say."""

    buckets: tuple[Bucket, ...]
    throttled: tuple[str, ...] | None = None
    computed: ClassVar = {"slowdown": "slowdown", "p90_slowdown": "p90_slowdown"}

    @property
    def slowdown(self) -> float:
        """How much longer the median call takes in the last minute than in the first, as a share."""
        return self.buckets[-1].p50_ms / self.buckets[0].p50_ms - 1

    @property
    def p90_slowdown(self) -> float:
        """The same of the 90th percentile."""
        return self.buckets[-1].p90_ms / self.buckets[0].p90_ms - 1


def bucket_length_s(sustained_s: float) -> float:
    """A minute; of runs shorter than two minutes a sixth."""
    return MINUTE_S if sustained_s >= 2 * MINUTE_S else sustained_s / SHORT_BUCKETS


def measure_sustained(
    turn: Turn,
    sustained_s: float,
    look: Callable[[], Sequence[Sensors]],
    *,
    clock: Callable[[], float] = time.monotonic,
    after_turn: Callable[[], object] = lambda: None,
) -> Sustained:
    """Take turns of a second until `sustained_s` seconds have passed; `look` gives what the sensors showed so far.

    A last stretch of less than half a bucket counts to the one before it.
    """
    length_s = bucket_length_s(sustained_s)
    begin = clock()
    buckets: list[Bucket] = []
    while (start_s := clock() - begin) < sustained_s:
        end_s = min(sustained_s, (len(buckets) + 1) * length_s)
        if sustained_s - end_s < length_s / 2:
            end_s = sustained_s
        first_look = len(look())
        # Once at least: a slow call may have outlasted a whole short bucket.
        times_ms = list(turn(min(TURN_S, max(0.0, end_s - start_s)), 1))
        while (left_s := end_s - (clock() - begin)) > 0:
            after_turn()
            times_ms += turn(min(TURN_S, left_s), 1)
        after_turn()
        p50_ms, p90_ms = map(float, np.percentile(times_ms, (50, 90)))
        seen = look()[first_look:]
        sensors = (Series.of([each.temperature_c for each in seen]), Series.of([each.clock_mhz for each in seen]))
        means = (None if series is None else series.mean for series in sensors)
        buckets.append(Bucket(start_s, clock() - begin - start_s, p50_ms, p90_ms, len(times_ms), *means))
    return Sustained(tuple(buckets))
