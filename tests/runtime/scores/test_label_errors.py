"""Confident learning: a case worked out by hand, and the authors' own library."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import find_label_errors


def drawn(seed: int, classes: int = 4, n: int = 400) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Labels, a tenth of them drawn anew, and the answers of a model that knows better."""
    draw = np.random.default_rng(seed)
    right = draw.integers(0, classes, n)
    scores = draw.normal(size=(n, classes)) * 1.2
    scores[np.arange(n), right] += 2.5
    answers = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return np.where(draw.random(n) < 0.1, draw.integers(0, classes, n), right), answers.astype(np.float32)


def test_a_case_by_hand() -> None:
    truth = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    first = np.array([0.9, 0.8, 0.7, 0.2, 0.1, 0.3, 0.6, 0.96])
    found = find_label_errors(truth, np.stack([first, 1 - first], axis=1))
    # The mean of 0.9 0.8 0.7 0.2, and of 0.9 0.7 0.4 0.04.
    assert found.thresholds.tolist() == pytest.approx([0.65, 0.51])
    # The sixth, 0.6 of the first class and 0.4 of its own, reaches neither threshold.
    assert found.joint.tolist() == [[3, 1], [1, 2]]
    assert (found.suspects.tolist(), found.instead.tolist()) == ([7, 3], [0, 1])
    assert found.scores[[7, 3, 0]].tolist() == pytest.approx([0.04, 0.2, 0.9])
    assert found.estimated.tolist() == [[3, 1], pytest.approx([4 / 3, 8 / 3])]
    assert found.estimated_wrong == pytest.approx(1 + 4 / 3)


def test_a_class_that_nothing_is_labelled_as_suspects_nothing() -> None:
    truth = np.array([0, 0, 1, 1])
    answers = np.array([[0.5, 0.1, 0.4], [0.1, 0.1, 0.8], [0.2, 0.8, 0.0], [0.1, 0.9, 0.0]])
    found = find_label_errors(truth, answers)
    assert np.isnan(found.thresholds).tolist() == [False, False, True]
    assert (found.suspects.tolist(), found.estimated_wrong) == ([], 0)


def test_where_nothing_is_confident_of_its_own_class_none_is_estimated_wrong() -> None:
    truth = np.array([0, 1, 1])
    found = find_label_errors(truth, np.array([[0.5, 0.5], [0.4, 0.6], [0.4, 0.6]]))
    assert found.estimated.sum(axis=1).tolist() == [1, 2]


@pytest.mark.parametrize("seed", range(4))
def test_it_finds_what_cleanlab_finds(seed: int) -> None:
    count = pytest.importorskip("cleanlab.count")
    issues = pytest.importorskip("cleanlab.filter")
    truth, answers = drawn(seed)
    found = find_label_errors(truth, answers)
    assert found.joint.tolist() == count.compute_confident_joint(truth, answers, calibrate=False).tolist()
    assert found.thresholds.tolist() == pytest.approx(count.get_confident_thresholds(truth, answers).tolist())
    theirs = issues.find_label_issues(
        truth, answers, filter_by="confident_learning", return_indices_ranked_by="normalized_margin", n_jobs=1
    )
    assert len(theirs) > 30
    assert found.suspects.tolist() == theirs.tolist()
    # Theirs is of whole images.
    whole = count.num_label_issues(truth, answers, estimation_method="off_diagonal_calibrated")
    assert found.estimated_wrong == pytest.approx(whole, abs=2)
