"""A count of right answers, and what is said of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edge_runtime import Accuracy
from edge_runtime.scores.accuracy import wilson_interval


def test_right_answers_are_counted_and_counts_add_up() -> None:
    answers = np.array([[0.1, 0.9], [0.6, 0.4], [0.5, 0.5]], np.float32)
    found = Accuracy.of(np.array([1, 1, 0]), answers)
    assert found == Accuracy(2, 3)
    assert found + Accuracy(1, 7) == Accuracy(3, 10)


def test_a_count_is_said_in_percent_with_its_n_and_interval() -> None:
    found = Accuracy(27, 30)
    assert (found.share, found.percent, str(found)) == (0.9, 90.0, "90.0 % (27 of 30)")
    assert found.to_json() == {"accuracy": 0.9, "correct": 27, "n": 30}
    assert found.interval == wilson_interval(27, 30)


@pytest.mark.parametrize(("share", "n", "correct"), [(0.9, 30, 27), (2 / 3, 3, 2), (0.71878, 50_000, 35_939)])
def test_a_share_is_the_nearest_count(share: float, n: int, correct: int) -> None:
    assert Accuracy.near(share, n) == Accuracy(correct, n)


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0000),
    ],
)
def test_wilson_intervals_equal_published_ones(correct: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(correct, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000), st.data())
def test_a_wilson_interval_holds_its_share_and_solves_its_equation(n: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, n))
    low, high = wilson_interval(correct, n)
    assert 0 <= low <= correct / n <= high <= 1
    mirrored_low, mirrored_high = wilson_interval(n - correct, n)
    assert (1 - mirrored_high, 1 - mirrored_low) == pytest.approx((low, high), abs=1e-12)
    for bound in (low, high):
        if 0 < bound < 1:
            # The shares from which the observed one is 1.96 standard errors away.
            distance = abs(correct / n - bound) / math.sqrt(bound * (1 - bound) / n)
            assert distance == pytest.approx(1.959963984540054, rel=1e-5)
    narrower = wilson_interval(correct, n, z=1.0)
    assert low <= narrower[0] <= narrower[1] <= high
