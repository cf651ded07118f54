from __future__ import annotations

import gc
import itertools
import json
import time

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edge_runtime import Plan, Timings, WarmUp, interleave, is_faster, take_turns, time_calls, warm_up
from edge_runtime.timing import _is_stable

SHORT = Plan(duration_s=0.05, rounds=5, least_runs=10)


def test_contestants_take_turns() -> None:
    called: list[str] = []
    plan = Plan(duration_s=0.05, rounds=10, least_runs=10)
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
    assert fast.percentile_ms(50) < sleeping.percentile_ms(50) >= 2
    assert sleeping.n >= SHORT.least_runs
    # One leading call per turn is not timed; all others are there.
    assert calls - sleeping.n == len(sleeping.turns_ms)
    assert fast.total_s >= SHORT.duration_s
    # A progress bar is told of the turns that were planned, not of those that came on top; a stalled machine is done
    # before its last ones.
    assert SHORT.rounds < turns <= 2 * SHORT.rounds


def test_a_fast_call_gets_its_duration_and_a_slow_one_its_runs() -> None:
    assert not Plan(3.0).is_done(2.9, 5000)
    assert Plan(3.0).is_done(3.0, 100)
    assert not Plan(3.0).is_done(300.0, 99)


def test_a_very_slow_call_ends_before_its_runs_where_the_plan_says_so() -> None:
    assert Plan(3.0, most_durations=10).is_done(30.0, 4)
    plan = Plan(duration_s=0.01, rounds=2, least_runs=10, most_durations=3)
    (timings,) = take_turns([lambda: time.sleep(0.02)], plan)
    assert timings.n == plan.turn_runs


def test_collection_is_back_on_after_a_failing_call() -> None:
    def fail() -> None:
        if not gc.isenabled():
            raise RuntimeError("while timed")

    with pytest.raises(RuntimeError, match="while timed"):
        take_turns([fail], SHORT)
    assert gc.isenabled()


def test_a_turn_has_its_calls_however_slow_they_are() -> None:
    assert len(time_calls(lambda: time.sleep(0.002), 0.0, 7)) == 7
    assert len(time_calls(lambda: time.sleep(0.002), 0.2, 1)) >= 2


def test_each_turn_is_asked_for_its_share_and_kept_apart() -> None:
    asked: list[tuple[float, int]] = []

    def turn(turn_s: float, least_runs: int) -> list[float]:
        asked.append((turn_s, least_runs))
        return [1000 * turn_s / least_runs] * least_runs

    (timings,) = interleave([turn], Plan(duration_s=2.0, rounds=4, least_runs=10))
    assert asked == [(0.5, 3)] * 4
    assert timings.turns_ms == ((500 / 3,) * 3,) * 4


def test_one_that_gives_up_gets_no_other_turn() -> None:
    left = iter([[1.0, 1.0], []])
    dying, other = interleave([lambda *_: next(left), lambda *_: [5.0] * 5], Plan(duration_s=0.1, least_runs=10))
    assert dying.turns_ms == ((1.0, 1.0),) and other.n == 20


def test_warm_up_goes_on_until_calls_are_stable() -> None:
    # Ten slow calls, as of a model that is still being paged in, then fast ones.
    delays = itertools.chain([0.01] * 7, itertools.repeat(0.002))
    assert warm_up(lambda: time.sleep(next(delays)), least_s=0.05).runs > 10


def test_warm_up_takes_its_time() -> None:
    begin = time.perf_counter()
    assert warm_up(lambda: None, least_s=0.05).runs >= 10
    assert time.perf_counter() - begin >= 0.05


def test_warm_up_of_a_call_that_is_never_stable_ends_and_says_so() -> None:
    # Each call takes a millisecond more than the one before; five times 10 ms are over by the tenth.
    delays = itertools.count(1)
    assert warm_up(lambda: time.sleep(0.001 * next(delays)), least_s=0.01) == WarmUp(10, stable=False)


def test_calls_that_take_different_pictures_are_stable_by_the_round() -> None:
    times = [float(picture) for picture in range(1, 17)] * 2
    assert _is_stable(times, 16)
    assert not _is_stable(times, 5)
    assert not _is_stable(times[1:], 16), "a round is missing"


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=300))
def test_percentiles_are_ordered_and_within_what_was_measured(times: list[float]) -> None:
    found = Timings.of(times).figures()
    assert found["n"] == len(times)
    # Between equal neighbours, interpolation may be off by an ulp.
    ordered = [found[name] for name in ("min_ms", "p50_ms", "p90_ms", "p95_ms", "max_ms")]
    assert all(low <= high * (1 + 1e-12) for low, high in itertools.pairwise(ordered))
    assert (found["p99_ms"] is None) == (len(times) < 100)


def test_figures_of_known_times() -> None:
    found = Timings((tuple(float(i) for i in range(50)), tuple(float(i) for i in range(50, 101)))).figures()
    assert (found["p50_ms"], found["p90_ms"], found["p95_ms"], found["p99_ms"]) == (50.0, 90.0, 95.0, 99.0)
    assert (found["min_ms"], found["max_ms"], found["mean_ms"], found["n"]) == (0.0, 100.0, 50.0, 101)
    assert found["std_ms"] == pytest.approx(float(np.std(range(101))))


def test_total_is_in_seconds() -> None:
    assert Timings(((250.0,), (750.0,))).total_s == 1.0


def test_spread_is_what_lies_between_the_tenth_and_the_ninetieth() -> None:
    assert Timings.of([float(i) for i in range(101)]).spread == pytest.approx(80 / 50)
    assert Timings.of([3.0] * 50).spread == 0.0


def test_every_call_survives_json_in_its_turn() -> None:
    timings = Timings(((1.0, 2.5), (3.25,), (0.0001,)))
    assert Timings.from_json(json.loads(json.dumps(timings.to_json()))) == timings


@pytest.mark.parametrize("turns", [[], [[]], [[1.0, float("nan")]], [[-1.0]], [["fast"]], 3])
def test_what_are_no_timings_is_refused(turns: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        Timings.from_json({"turns_ms": turns})


def test_faster_on_average_but_not_in_most_turns_is_noise() -> None:
    steady_ms = Timings(((10.0,),) * 20)
    moody = Timings((((5.0,),) * 11) + (((11.0,),) * 9))
    assert moody.p50_ms < steady_ms.p50_ms
    assert not is_faster(moody, steady_ms)
    assert is_faster(Timings(((9.0,),) * 20), steady_ms)
    assert not is_faster(Timings(((9.9,),) * 20), steady_ms)
