"""Every figure of merit equals scikit-learn's, whatever the scores: tied, of one class, of classes nobody has."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, strategies as st
from numpy.typing import NDArray

from edge_runtime import measure
from edge_runtime.scores.ranking import auroc, average_precision

sklearn = pytest.importorskip("sklearn.metrics")


def theirs(figure: Callable[..., float], *args: object, **options: object) -> float:
    """What scikit-learn says, which warns of absent classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(figure(*args, **options))


@st.composite
def scored(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """True classes and probabilities; from few levels, so that many tie, and often without some of the classes."""
    classes, n = draw(st.integers(2, 5)), draw(st.integers(1, 40))
    levels = draw(st.integers(1, 9))
    cells = draw(st.lists(st.integers(0, levels), min_size=n * classes, max_size=n * classes))
    there = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=classes))
    truth = draw(st.lists(st.sampled_from(there), min_size=n, max_size=n))
    scores = np.array(cells, np.float64).reshape(n, classes) + draw(st.sampled_from([1e-3, 1e-9, 1.0]))
    return np.array(truth, np.int64), (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


TIED = (np.array([0, 1, 1, 0]), np.full((4, 2), 0.5, np.float32))
SURE = (np.array([0, 1]), np.array([[0, 1], [1, 0]], np.float32))


@given(scored())
@example(TIED)
@example(SURE)
def test_every_figure_equals_scikit_learns(outcome: tuple[NDArray[np.int64], NDArray[np.float32]]) -> None:
    truth, probabilities = outcome
    classes = range(probabilities.shape[1])
    said = probabilities.argmax(axis=1)
    found = measure(tuple(map(str, classes)), truth, probabilities)
    near: dict[str, Any] = {"rel": 1e-5, "abs": 1e-6}
    assert found.balanced_accuracy == pytest.approx(theirs(sklearn.balanced_accuracy_score, truth, said))
    assert found.macro_f1 == pytest.approx(theirs(sklearn.f1_score, truth, said, average="macro", zero_division=0))
    assert found.log_loss == pytest.approx(theirs(sklearn.log_loss, truth, probabilities, labels=classes), **near)
    brier = theirs(sklearn.brier_score_loss, truth, probabilities, labels=list(classes))
    assert found.brier == pytest.approx(brier, **near)
    for place, row in enumerate(found.per_class):
        one = truth == place
        if one.any():
            assert row.recall == pytest.approx(theirs(sklearn.recall_score, one, said == place))
            assert row.average_precision == pytest.approx(
                theirs(sklearn.average_precision_score, one, probabilities[:, place])
            )
        else:
            assert row.recall is row.recall_interval_95 is row.average_precision is None and str(place) in found.absent
        if one.any() and not one.all():
            assert row.auroc == pytest.approx(theirs(sklearn.roc_auc_score, one, probabilities[:, place]))
        else:
            assert row.auroc is None
        if one.all():
            assert row.specificity is row.specificity_interval_95 is None
        else:
            assert row.specificity == pytest.approx(theirs(sklearn.recall_score, ~one, said != place))
    if len(found.absent) == 0 and len(classes) > 2:
        assert found.auroc == pytest.approx(
            theirs(sklearn.roc_auc_score, truth, probabilities.astype(np.float64), multi_class="ovr"), rel=1e-6
        )
        assert found.average_precision == pytest.approx(
            theirs(sklearn.average_precision_score, truth[:, None] == np.array(classes), probabilities)
        )


def test_hand_made_rankings() -> None:
    positive = np.array([True, False, True, False])
    assert auroc(positive, np.array([0.9, 0.1, 0.8, 0.2])) == 1.0 == average_precision(positive, np.array([4, 1, 3, 2]))
    assert auroc(positive, np.array([0.1, 0.9, 0.2, 0.8])) == 0.0
    assert auroc(positive, np.array([0.5, 0.5, 0.5, 0.5])) == 0.5 == average_precision(positive, np.zeros(4))
    assert auroc(np.ones(3, bool), np.arange(3.0)) is None is auroc(np.zeros(3, bool), np.arange(3.0))
    assert (
        average_precision(np.zeros(3, bool), np.arange(3.0)) is None
        and average_precision(np.ones(3, bool), np.arange(3.0)) == 1
    )
    assert auroc(np.zeros(0, bool), np.zeros(0)) is None is average_precision(np.zeros(0, bool), np.zeros(0))
