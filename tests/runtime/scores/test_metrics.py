"""Figures of merit against values worked out by hand, published ones, and a plain second implementation."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from edge_runtime import Accuracy, measure
from edge_runtime.scores.accuracy import wilson_interval
from edge_runtime.scores.metrics import CLASSES_ON_CARD, expected_calibration_error

LABELS = ("a", "b", "c")


def answers(*classes: int, confidence: float = 1.0, n_classes: int = 3) -> NDArray[np.float32]:
    """Probabilities whose most probable classes are `classes`."""
    rows = np.full((len(classes), n_classes), (1 - confidence) / (n_classes - 1), np.float32)
    rows[np.arange(len(classes)), classes] = confidence
    return rows


def truth(*classes: int) -> NDArray[np.int64]:
    return np.array(classes, np.int64)


def test_every_figure_of_a_small_table_by_hand() -> None:
    # truth:      a a a a b b b c
    # answered:   a a b c b b a b
    found = measure(LABELS, truth(0, 0, 0, 0, 1, 1, 1, 2), answers(0, 0, 1, 2, 1, 1, 0, 1))
    assert found.confusion.tolist() == [[2, 1, 1], [1, 2, 0], [0, 1, 0]]
    assert (found.n, found.correct, found.accuracy) == (8, 4, 0.5)
    a, b, c = found.per_class
    assert (a.label, a.precision, a.recall, a.f1, a.support) == ("a", 2 / 3, 2 / 4, 4 / 7, 4)
    assert (b.label, b.precision, b.recall, b.f1, b.support) == ("b", 2 / 4, 2 / 3, 4 / 7, 3)
    assert (c.label, c.precision, c.recall, c.f1, c.support) == ("c", 0.0, 0.0, 0.0, 1)
    assert found.macro_f1 == pytest.approx((4 / 7 + 4 / 7 + 0) / 3)
    assert found.balanced_accuracy == pytest.approx((2 / 4 + 2 / 3 + 0) / 3)
    assert [row.specificity for row in found.per_class] == [3 / 4, 3 / 5, 6 / 7]
    for row, (hits, support), (refused, others) in zip(
        found.per_class, ((2, 4), (2, 3), (0, 1)), ((3, 4), (3, 5), (6, 7)), strict=True
    ):
        assert row.recall_interval_95 == wilson_interval(hits, support)
        assert row.specificity_interval_95 == wilson_interval(refused, others)
    assert found.top1 == Accuracy(4, 8) and found.interval == Accuracy(4, 8).interval
    assert found.calibration_error == 0.5 and found.absent == ()


def test_a_class_that_does_not_occur_has_no_figures_and_no_weight() -> None:
    found = measure(LABELS, truth(0, 0, 1), answers(0, 0, 1))
    assert (found.per_class[2].precision, found.per_class[2].recall, found.per_class[2].f1) == (None, None, None)
    assert found.macro_f1 == 1.0
    answered = measure(LABELS, truth(0, 1), answers(0, 2))
    assert [row.precision for row in answered.per_class] == [1.0, None, 0.0]
    assert [row.recall for row in answered.per_class] == [1.0, 0.0, None]
    assert answered.macro_f1 == pytest.approx(1 / 3)


def test_a_tie_goes_to_the_first_label() -> None:
    assert measure(LABELS, truth(0), np.full((1, 3), 1 / 3, np.float32)).correct == 1


def test_all_of_it_is_one_json_document() -> None:
    found = measure(LABELS, truth(0, 1, 1), answers(0, 1, 0, confidence=0.8))
    value = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (value["n"], value["correct"], value["labels"]) == (3, 2, list(LABELS))
    assert value["confusion"] == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert value["accuracy_interval_95"] == list(found.interval)
    assert value["per_class"][1] == {
        "label": "b",
        "precision": 1.0,
        "recall": 0.5,
        "recall_interval_95": list(wilson_interval(1, 2)),
        "specificity": 1.0,
        "specificity_interval_95": list(wilson_interval(1, 1)),
        "f1": 2 / 3,
        "auroc": 0.75,
        "average_precision": pytest.approx(0.5 * 1 + 0.5 * 2 / 3),
        "support": 2,
    }
    assert value["per_class"][2]["f1"] is value["per_class"][2]["recall_interval_95"] is None
    assert value["absent"] == ["c"] and value["auroc"] == pytest.approx((0.75 + 0.75) / 2)
    assert "calibration_folds" not in value and replace(found, calibration_folds=5).to_json()["calibration_folds"] == 5
    assert value["expected_calibration_error"] == pytest.approx(0.8 - 2 / 3)


def test_a_card_has_a_row_for_each_class_where_they_are_few() -> None:
    few = measure(LABELS, truth(0, 1, 1), answers(0, 1, 0)).on_card()
    assert [row["label"] for row in few["per_class"]] == list(LABELS) and "confusion" not in few
    many = tuple(map(str, range(CLASSES_ON_CARD + 1)))
    row = measure(many, truth(0), answers(0, n_classes=len(many))).on_card()
    assert "per_class" not in row and row["balanced_accuracy"] == 1.0 and row["auroc"] is None


@st.composite
def outcomes(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    n_classes = draw(st.integers(1, 5))
    rows = draw(st.lists(st.lists(st.floats(0, 1, width=32), min_size=n_classes, max_size=n_classes), min_size=1))
    scores = np.array(rows, np.float64) + 1e-3
    classes = draw(st.lists(st.integers(0, n_classes - 1), min_size=len(rows), max_size=len(rows)))
    return truth(*classes), (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


@given(outcomes())
def test_figures_equal_a_plain_count(outcome: tuple[NDArray[np.int64], NDArray[np.float32]]) -> None:
    true, probabilities = outcome
    labels = tuple(f"class {number}" for number in range(probabilities.shape[1]))
    found = measure(labels, true, probabilities)
    pairs = [(int(t), max(range(len(row)), key=row.__getitem__)) for t, row in zip(true, probabilities, strict=True)]
    f1s = []
    for number, row in enumerate(found.per_class):
        hits = sum(pair == (number, number) for pair in pairs)
        predicted = sum(answer == number for _, answer in pairs)
        support = sum(t == number for t, _ in pairs)
        assert row.support == support
        assert row.precision == (hits / predicted if predicted else None)
        assert row.recall == (hits / support if support else None)
        if hits:
            assert row.precision and row.recall and row.f1
            assert row.f1 == pytest.approx(2 * row.precision * row.recall / (row.precision + row.recall))
        if predicted or support:
            f1s.append(row.f1)
    assert found.accuracy == sum(t == answer for t, answer in pairs) / len(pairs)
    assert found.macro_f1 == pytest.approx(sum(filter(None, f1s)) / len(f1s))


@given(outcomes(), st.integers(1, 20))
def test_the_calibration_error_equals_the_definition(
    outcome: tuple[NDArray[np.int64], NDArray[np.float32]], bins: int
) -> None:
    true, probabilities = outcome
    # Guo et al. 2017: the sum over bins of their share of images times |accuracy - confidence|.
    members: dict[int, list[tuple[float, bool]]] = {}
    for t, row in zip(true, probabilities, strict=True):
        confidence = float(row.max())
        members.setdefault(min(int(confidence * bins), bins - 1), []).append((confidence, int(row.argmax()) == t))
    expected = 0.0
    for each in members.values():
        confidence = sum(value for value, _ in each) / len(each)
        accuracy = sum(right for _, right in each) / len(each)
        expected += len(each) / len(true) * abs(accuracy - confidence)
    found = expected_calibration_error(true, probabilities, bins=bins)
    assert found == pytest.approx(expected, abs=1e-9)
    assert 0 <= found <= 1


def test_the_extremes_of_calibration() -> None:
    assert expected_calibration_error(truth(0, 1, 2), answers(0, 1, 2)) == 0
    assert expected_calibration_error(truth(0, 1, 2), answers(1, 2, 0)) == 1
    # Right half of the time at a confidence of one half: perfectly calibrated, though a poor classifier.
    two = answers(0, 0, confidence=0.5, n_classes=2)
    assert expected_calibration_error(truth(0, 1), two) == 0
    # Full confidence shares the last bin with what lies just below it: |1 + 0.95 - 1| / 2.
    last = np.array([[1, 0], [0.95, 0.05]], np.float32)
    assert expected_calibration_error(truth(1, 0), last) == pytest.approx(0.475)
    # Confidences a little above 1, as rounding in a softmax leaves them, belong to the last bin.
    assert expected_calibration_error(truth(0), np.array([[1.0000001, 0.0]], np.float32)) < 1e-6


@pytest.mark.parametrize(
    ("true", "probabilities"),
    [
        (truth(), np.zeros((0, 3), np.float32)),
        (truth(0, 1), answers(0)),
        (truth(0), answers(0, n_classes=2)),
        (truth(0), np.zeros(3, np.float32)),
    ],
)
def test_shapes_that_do_not_go_together_are_refused(
    true: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> None:
    with pytest.raises(ValueError, match="labels"):
        measure(LABELS, true, probabilities)
