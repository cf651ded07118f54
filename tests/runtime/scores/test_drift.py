"""How far two answers to the same images are apart, and from where on they are not the same."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime import Drift, OperatingPoint

EXACT = np.array([[0.9, 0.1], [0.4, 0.6], [0.51, 0.49], [0.2, 0.8]], np.float32)


def test_equal_answers_do_not_drift() -> None:
    drift = Drift.between([0, 1, 1, 1], EXACT, EXACT)
    assert drift == Drift(4, 0.0, 0.0, 1.0, 0.75, 0.75)
    assert drift.holds
    assert drift.to_json().keys() == {
        *("n", "max_difference", "mean_difference", "top1_agreement", "accuracy", "exact_accuracy")
    }


def test_differences_are_the_largest_of_an_image_and_their_mean() -> None:
    found = EXACT + np.array([[0, 0], [0.02, -0.02], [-0.04, 0.04], [0, 0]], np.float32)
    drift = Drift.between(np.array([0, 1, 1, 1]), found, EXACT)
    assert drift.max_difference == pytest.approx(0.04, abs=1e-6)
    assert drift.mean_difference == pytest.approx(0.015, abs=1e-6)
    assert (drift.top1_agreement, drift.accuracy, drift.exact_accuracy) == (0.75, 1.0, 0.75)
    assert not drift.holds
    assert "top-1 agreement 75.00%, max |Δp| 0.04, mean 0.015 on 4 images" in str(drift)


def test_where_a_threshold_decides_its_answers_are_compared() -> None:
    """All of them flip, though no probability moves by more than 0.01 and none of the most probable labels."""
    kernels, graph = (np.repeat(np.array([[low, 1 - low]], np.float32), 20, axis=0) for low in (0.025, 0.035))
    point, truth = OperatingPoint("ill", 0.03, 0.95, 20, 20), [0] * 20
    assert Drift.between(truth, kernels, graph).holds
    drift = Drift.between(truth, kernels, graph, labels=("ill", "well"), point=point)
    assert (drift.top1_agreement, drift.accuracy, drift.exact_accuracy) == (0.0, 0.0, 1.0)
    assert drift.max_difference == pytest.approx(0.01, abs=1e-6) and not drift.holds


@pytest.mark.parametrize(
    ("most", "agreement", "holds"),
    [(0.02, 1.0, True), (0.0201, 1.0, False), (0.02, 0.99, True), (0.001, 0.989, False), (float("nan"), 1.0, False)],
)
def test_two_bounds_hold_a_file(most: float, agreement: float, *, holds: bool) -> None:
    assert Drift(1000, most, 0.0, agreement, 1.0, 1.0).holds is holds
