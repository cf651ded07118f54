"""How sure a latency's percentiles are, from the turns that they were measured in.

A cluster bootstrap. Calls of one turn resemble each other, so turns are drawn with replacement, not calls (Davison and
Hinkley, Bootstrap Methods and their Application, 1997, section 3.8, strategy 1; the same for benchmarks in Kalibera and
Jones, Rigorous Benchmarking in Reasonable Time, ISMM 2013).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_runtime import Timings

PERCENTS = (50, 90)
RESAMPLES = 2000
CONFIDENCE = 0.95
# So many turns, whatever they hold, make no interval.
LEAST_TURNS = 5
# Resampling holds a number for every call and resample of a chunk.
CHUNK_NUMBERS = 4_000_000
# How sure `edge bench` wants its percentiles to be, as shares of them. A row that is not is measured longer, and then
# marked: Hoefler and Belli, Scientific Benchmarking of Parallel Computing Systems, SC 2015, who measure until the
# interval of the median is that narrow (section 4.2.2).
SURE_WITHIN = {50: 0.05, 90: 0.10}
# Where turns are too few for an interval: calls that lie so far apart, (p90 - p10) / p50, tell of more than the model.
SCATTERED = 0.20

Resamples: TypeAlias = "NDArray[np.float64]"


def resample_percentiles(timings: Timings, choose: np.random.Generator, resamples: int = RESAMPLES) -> Resamples | None:
    """The percentiles `PERCENTS` of resamples of the turns, `[resamples, percents]`; None with too few turns.

    Calls are sorted once; a resample is then a weight for each call, how often its turn was drawn.
    """
    turns = len(timings.turns_ms)
    if turns < LEAST_TURNS:
        return None
    times = np.array(timings.times_ms)
    owner = np.repeat(np.arange(turns), [len(turn) for turn in timings.turns_ms])
    order = np.argsort(times)
    times, owner = times[order], owner[order]
    chunk = max(1, CHUNK_NUMBERS // len(times))
    drawn = []
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        weights = choose.multinomial(turns, np.full(turns, 1 / turns), size=size)[:, owner].cumsum(axis=1)
        totals = weights[:, -1:]
        drawn.append(np.stack([times[(weights < totals * percent / 100).sum(axis=1)] for percent in PERCENTS], axis=1))
    return np.concatenate(drawn)


def percentile_interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of what was drawn, `[resamples]` (Efron and Tibshirani 1993, chapter 13)."""
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(drawn, (tail, 100 - tail))
    return float(low), float(high)


# A report's rows are asked several times, by each of its tables and files.
@lru_cache(maxsize=512)
def uncertainty(timings: Timings) -> dict[int, float] | None:
    """For each of `PERCENTS` how far its 95 % interval reaches from it, as a share of it; None with too few turns."""
    drawn = resample_percentiles(timings, np.random.default_rng(0), RESAMPLES // 4)
    if drawn is None:
        return None
    found = {}
    for index, percent in enumerate(PERCENTS):
        value, (low, high) = timings.percentile_ms(percent), percentile_interval(drawn[:, index])
        found[percent] = max(high - value, value - low, 0.0) / value if value > 0 else 0.0
    return found


def unsettled(timings: Timings) -> dict[int, float]:
    """Those of the percentiles that are not `SURE_WITHIN` its bounds, and how unsure each is, as a share of it.

    With too few turns for an interval: the median, by how far calls lie apart, where that is more than a fifth.
    """
    found = uncertainty(timings)
    if found is None:
        return {50: timings.spread} if timings.spread > SCATTERED else {}
    return {percent: share for percent, share in found.items() if share > SURE_WITHIN[percent]}
