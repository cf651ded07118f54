"""Figures of several labels a picture equal scikit-learn's, and thresholds are those of the best F1."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from edge_runtime.scores.accuracy import wilson_interval
from edge_runtime.scores.label_metrics import best_thresholds, label_matrix, map_interval, measure_labels

sklearn = pytest.importorskip("sklearn.metrics")

Scored = tuple[NDArray[np.bool_], NDArray[np.float32], list[float]]


@st.composite
def scored(draw: st.DrawFn) -> Scored:
    """Truth, probabilities of few levels, so that many tie, and thresholds that are often one of those."""
    classes, n, levels = draw(st.integers(1, 5)), draw(st.integers(1, 30)), draw(st.integers(1, 9))
    cells = draw(st.lists(st.integers(0, levels), min_size=n * classes, max_size=n * classes))
    truth = draw(st.lists(st.booleans(), min_size=n * classes, max_size=n * classes))
    steps = st.integers(0, levels).map(lambda step: float(np.float32(step / levels)))
    thresholds = draw(st.lists(steps, min_size=classes, max_size=classes))
    probabilities = (np.array(cells).reshape(n, classes) / levels).astype(np.float32)
    return np.array(truth).reshape(n, classes), probabilities, thresholds


def theirs(figure: Callable[..., float], *args: object, **options: object) -> float:
    """What scikit-learn says, which warns of absent labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(figure(*args, **options))


@given(scored())
@settings(max_examples=40)
def test_every_figure_equals_scikit_learns(outcome: Scored) -> None:
    truth, probabilities, thresholds = outcome
    found = measure_labels([str(at) for at in range(truth.shape[1])], thresholds, truth, probabilities)
    said = probabilities >= np.array(thresholds)
    there = truth.any(axis=0)
    assert (found.mean_average_precision is None) == (not there.any())
    if there.any():
        mean = theirs(sklearn.average_precision_score, truth[:, there], probabilities[:, there], average="macro")
        assert found.mean_average_precision == pytest.approx(mean)
    occur = (truth | said).any(axis=0)
    assert (found.f1_micro is None) == (found.f1_macro is None) == (not occur.any())
    if occur.any():
        micro = theirs(sklearn.f1_score, truth.ravel(), said.ravel(), zero_division=0)
        assert found.f1_micro == pytest.approx(micro)
        each = [theirs(sklearn.f1_score, truth[:, at], said[:, at]) for at in np.flatnonzero(occur)]
        assert found.f1_macro == pytest.approx(np.mean(each))
    assert found.exact.share == pytest.approx((truth == said).all(axis=1).mean())
    loss = theirs(sklearn.log_loss, truth.ravel(), probabilities.ravel(), labels=[False, True])
    assert found.log_loss == pytest.approx(loss, rel=1e-5, abs=1e-6)
    for at, row in enumerate(found.per_class):
        if row.support:
            assert row.average_precision == pytest.approx(
                theirs(sklearn.average_precision_score, truth[:, at], probabilities[:, at])
            )
            assert row.recall == pytest.approx(theirs(sklearn.recall_score, truth[:, at], said[:, at]))
        else:
            assert row.recall is row.average_precision is None and str(at) in found.absent


@given(scored())
@settings(max_examples=40)
def test_no_other_threshold_has_a_better_f1(outcome: Scored) -> None:
    truth, probabilities, _ = outcome
    labels = [str(at) for at in range(truth.shape[1])]
    chosen = best_thresholds(truth, probabilities)
    found = measure_labels(labels, chosen, truth, probabilities)
    for at, row in enumerate(found.per_class):
        assert 0 <= row.threshold <= 1
        if not row.support:
            assert row.threshold == 0.5
            continue
        for level in {0.0, *map(float, probabilities[:, at])}:
            said = probabilities[:, at] >= level
            assert row.f1 is not None
            assert row.f1 >= 2 * (said & truth[:, at]).sum() / (said.sum() + truth[:, at].sum()) - 1e-9


def test_a_threshold_lies_between_the_images_that_it_parts() -> None:
    truth = np.array([[True], [True], [False], [False]])
    assert best_thresholds(truth, np.array([[0.9], [0.6], [0.2], [0.1]], np.float32)) == (pytest.approx(0.4),)
    # All have it: halfway to nothing.
    assert best_thresholds(np.ones((2, 1), bool), np.array([[0.9], [0.6]], np.float32)) == (pytest.approx(0.3),)


def test_a_small_table_by_hand() -> None:
    truth = label_matrix([(0, 1), (), (1,), (0,)], 3)
    assert truth.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0], [1, 0, 0]]
    answers = np.array([[0.9, 0.8, 0.1], [0.6, 0.1, 0.1], [0.2, 0.4, 0.1], [0.7, 0.3, 0.1]], np.float32)
    found = measure_labels(("a", "b", "c"), (0.5, 0.5, 0.5), truth, answers)
    a, b, c = found.per_class
    assert (a.precision, a.recall, a.f1, a.support) == (2 / 3, 1.0, 4 / 5, 2)
    assert (b.precision, b.recall, b.support) == (1.0, 1 / 2, 2) and a.precision_interval_95 == wilson_interval(2, 3)
    assert (c.precision, c.recall, c.f1, c.auroc, c.support) == (None, None, None, None, 0)
    assert found.absent == ("c",) and found.f1_macro == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert found.f1_micro == pytest.approx(2 * 3 / (4 + 4)) and (found.exact.correct, found.n) == (2, 4)
    assert found.mean_average_precision == 1.0
    squares = (0.1**2 + 0.2**2 + 0.1**2) + (0.6**2 + 2 * 0.1**2) + (0.2**2 + 0.6**2 + 0.1**2) + (2 * 0.3**2 + 0.1**2)
    assert found.brier == pytest.approx(squares / 12)
    value = json.loads(json.dumps(found.to_json()))
    assert value["map"] == 1.0 and value["n"] == 4 and value["per_class"][0]["recall_interval_95"]
    assert set(found.on_card()) == {
        *("map", "n", "f1_macro", "f1_micro", "exact_match", "log_loss", "brier"),
        *("expected_calibration_error", "per_class"),
    }


def test_calibration_error_is_the_gap_between_said_and_seen() -> None:
    truth = np.arange(10)[:, None] < 3
    assert measure_labels(["a"], [0.5], truth, np.full((10, 1), 0.3, np.float32)).calibration_error < 1e-6
    sure = measure_labels(["a"], [0.5], truth, np.full((10, 1), 0.9, np.float32))
    assert sure.calibration_error == pytest.approx(0.6, abs=1e-6)


def test_the_interval_of_the_map_holds_it_narrows_with_images_and_is_the_same_each_time() -> None:
    draw = np.random.default_rng(1)
    truth = draw.random((400, 3)) < (0.5, 0.2, 0.3)
    answers = np.clip(truth * 0.3 + draw.random((400, 3)) * 0.7, 0, 1).astype(np.float32)
    found = measure_labels("abc", (0.5,) * 3, truth, answers)
    bounds, fewer = map_interval(truth, answers), map_interval(truth[:40], answers[:40])
    assert bounds and fewer and found.mean_average_precision
    low, high = bounds
    assert low < found.mean_average_precision < high and bounds == map_interval(truth, answers)
    assert fewer[1] - fewer[0] > high - low
    # Where every image is ranked right there is nothing to doubt, and where no image has a label nothing to measure.
    assert map_interval(truth, truth.astype(np.float32)) == (1.0, 1.0)
    assert map_interval(np.zeros((5, 2), bool), np.zeros((5, 2), np.float32)) is None
    # One image of thirty has the label, and is ranked first: draws without it say nothing of that.
    rare = np.arange(30)[:, None] == 0
    assert map_interval(rare, rare.astype(np.float32)) == (1.0, 1.0)


def test_a_drawn_map_equals_that_of_the_drawn_images() -> None:
    from edge_runtime.scores.label_metrics import _ranked, _resampled
    from edge_runtime.scores.ranking import average_precision

    draw = np.random.default_rng(2)
    positive, scores = draw.random(30) < 0.4, draw.integers(0, 6, 30) / 6
    times = draw.multinomial(30, np.full(30, 1 / 30), size=5)
    found = _resampled(times.astype(np.float32), *_ranked(positive, scores))
    for row, share in zip(times, found, strict=True):
        drawn = np.repeat(np.arange(30), row)
        assert share == pytest.approx(average_precision(positive[drawn], scores[drawn]))


def test_shapes_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValueError, match="3 labels"):
        measure_labels("abc", (0.5,) * 3, np.ones((2, 2), bool), np.ones((2, 2), np.float32))
    with pytest.raises(ValueError, match=r"truth \(0, 2\)"):
        measure_labels("ab", (0.5,) * 2, np.ones((0, 2), bool), np.ones((0, 2), np.float32))
