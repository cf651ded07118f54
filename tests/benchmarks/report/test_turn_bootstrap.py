"""How sure a latency's percentiles are: by the turns that were measured, not by the calls."""

from __future__ import annotations

import numpy as np
import pytest

from bench_reports import make_report, make_row, noisy_timings
from edge_benchmarks import describe_uncertainty
from edge_benchmarks.report.turn_bootstrap import RESAMPLES, resample_percentiles, uncertainty, unsettled
from edge_runtime import Timings


def test_resampling_draws_turns_as_a_plain_loop_would() -> None:
    timings = Timings(((1.0, 2.0, 3.0), (10.0,), (4.0, 5.0), (6.0, 7.0, 8.0, 9.0), (2.5,)))
    found = resample_percentiles(timings, np.random.default_rng(0))
    assert found is not None and found.shape == (RESAMPLES, 2)
    weights = np.random.default_rng(0).multinomial(5, np.full(5, 0.2), size=RESAMPLES)
    for drawn, (p50, p90) in list(zip(weights, found, strict=True))[:50]:
        calls = sorted(call for times, turn in zip(drawn, timings.turns_ms, strict=True) for call in turn * int(times))
        # The inverse of the distribution function: the first call that so many do not exceed.
        for percent, value in ((50, p50), (90, p90)):
            assert value == calls[int(np.ceil(len(calls) * percent / 100 - 1e-9)) - 1]


def test_scattered_calls_are_sure_where_turns_agree_and_unsure_where_they_do_not() -> None:
    # The same spread of calls, once within each turn and once between turns: a machine whose speed changes.
    within = noisy_timings(10.0, spread=0.2)
    between = noisy_timings(10.0, spread=0.001, drift=0.2)
    assert within.spread > 0.4 and between.spread > 0.4
    assert unsettled(within) == {}
    assert unsettled(between).keys() == {50, 90}
    # More turns tell more.
    longer = noisy_timings(10.0, spread=0.001, drift=0.2, turns=2000)
    assert longer.spread > 0.4 and unsettled(longer) == {}


def test_the_interval_covers_what_many_turns_give() -> None:
    truth, covered = 10.0, 0
    for seed in range(40):
        timings = noisy_timings(truth, spread=0.02, drift=0.1, turns=60, seed=seed)
        found = uncertainty(timings)
        assert found is not None
        covered += abs(timings.p50_ms - truth) <= found[50] * timings.p50_ms
    assert covered >= 34


def test_with_too_few_turns_there_is_no_interval_and_scattered_calls_are_doubted() -> None:
    few = Timings(((10.0, 10.1, 10.0),) * 4)
    assert uncertainty(few) is None and unsettled(few) == {}
    assert unsettled(Timings(((10.0, 20.0, 10.0),) * 4)) == {50: pytest.approx(1.0)}
    assert make_row(latency=few).uncertainty is None


def test_a_report_says_how_sure_its_rows_are() -> None:
    sure, unsure = make_row("a"), make_row("b", latency=noisy_timings(10.0, drift=0.3))
    found = unsure.uncertainty
    assert found is not None
    said = describe_uncertainty(make_report([sure, unsure]))
    assert f"here p50 within ±{found['p50']:.1%} and p90 within ±{found['p90']:.1%} at worst" in said
    assert unsure.noisy and unsure.doubts == (f"noisy (p50 ±{found['p50']:.0%}, p90 ±{found['p90']:.0%})",)
    assert not sure.noisy and sure.to_json()["uncertainty"] == sure.uncertainty
