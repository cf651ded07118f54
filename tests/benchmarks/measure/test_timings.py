from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edge_benchmarks import Timings


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=300))
def test_percentiles_are_ordered_and_within_what_was_measured(times: list[float]) -> None:
    found = Timings.of(times).figures()
    assert found["n"] == len(times)
    # Between equal neighbours, interpolation may be off by an ulp.
    ordered = [found[name] for name in ("min_ms", "p50_ms", "p90_ms", "p95_ms", "max_ms")]
    assert all(low <= high * (1 + 1e-12) for low, high in pairwise(ordered))
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
