from __future__ import annotations

import gc
import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_benchmarks import Plan, Timings, take_turns, warm_up

SHORT = Plan(duration_s=0.05, rounds=5, least_runs=10)


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=300))
def test_percentiles_are_ordered_and_within_what_was_measured(times: list[float]) -> None:
    found = Timings(tuple(times)).to_json()
    assert found["n"] == len(times)
    assert found["min_ms"] <= found["p50_ms"] <= found["p90_ms"] <= found["max_ms"]
    assert (found["p99_ms"] is None) == (len(times) < 100)


def test_percentiles_of_known_times() -> None:
    found = Timings(tuple(float(i) for i in range(101))).to_json()
    assert (found["p50_ms"], found["p90_ms"], found["p99_ms"]) == (50.0, 90.0, 99.0)
    assert found["mean_ms"] == 50.0
    assert found["std_ms"] == pytest.approx(float(np.std(range(101))))


def test_total_is_in_seconds() -> None:
    assert Timings((250.0, 750.0)).total_s == 1.0


def test_contestants_take_turns() -> None:
    called: list[str] = []
    plan = Plan(duration_s=0.3, rounds=10, least_runs=10)
    take_turns([lambda: called.append("a"), lambda: called.append("b")], plan)
    order = [name for name, _ in itertools.groupby(called)]
    assert order[:6] == ["a", "b", "a", "b", "a", "b"]


def test_the_slow_one_measures_slow_and_every_timed_call_counts() -> None:
    calls = 0

    def slow() -> None:
        nonlocal calls
        calls += 1
        time.sleep(0.002)

    turns = 0

    def count_turn() -> None:
        nonlocal turns
        turns += 1

    fast, sleeping = take_turns([lambda: None, slow], SHORT, after_turn=count_turn)
    assert fast.percentile_ms(50) < 2 <= sleeping.percentile_ms(50)
    assert sleeping.n >= SHORT.least_runs
    # One leading call per turn is not timed; all others are there.
    assert 1 <= calls - sleeping.n <= turns + SHORT.least_runs
    assert fast.total_s >= SHORT.duration_s


def test_a_fast_call_gets_its_duration_and_a_slow_one_its_runs() -> None:
    assert not Plan(3.0).is_done(2.9, 5000)
    assert Plan(3.0).is_done(3.0, 100)
    assert not Plan(3.0).is_done(29.0, 99)


def test_a_very_slow_call_ends_before_its_runs() -> None:
    assert Plan(3.0).is_done(30.0, 4)
    plan = Plan(duration_s=0.01, rounds=2, least_runs=1000, most_durations=3)
    (timings,) = take_turns([lambda: time.sleep(0.005)], plan)
    assert 1 <= timings.n <= 10


def test_collection_is_back_on_after_a_failing_call() -> None:
    def fail() -> None:
        if not gc.isenabled():
            raise RuntimeError("while timed")

    with pytest.raises(RuntimeError, match="while timed"):
        take_turns([fail], SHORT)
    assert gc.isenabled()


def test_warm_up_goes_on_until_calls_are_stable() -> None:
    # Ten slow calls, as of a model that is still being paged in, then fast ones.
    delays = itertools.chain([0.01] * 7, itertools.repeat(0.002))
    assert warm_up(lambda: time.sleep(next(delays)), least_s=0.0) > 10


def test_warm_up_takes_its_time() -> None:
    begin = time.perf_counter()
    assert warm_up(lambda: None, least_s=0.05) >= 10
    assert time.perf_counter() - begin >= 0.05


def test_warm_up_of_a_slow_call_ends() -> None:
    assert warm_up(lambda: time.sleep(0.02), least_s=1.0, most_s=0.03) == 2
