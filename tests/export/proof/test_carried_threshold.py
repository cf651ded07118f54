"""A threshold carried over to other answers: as many images are called positive as before."""

from __future__ import annotations

import numpy as np
import pytest

from edge_export.proof.carried_threshold import carry_over

BEFORE = np.array([0.9, 0.4, 0.3, 0.1], np.float32)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([0.8, 0.5, 0.2, 0.1], 0.35),  # stays where it parts them alike
        ([0.8, 0.34, 0.2, 0.1], 0.3399),  # the second fell below it
        ([0.8, 0.5, 0.36, 0.1], 0.3601),  # the third rose above it
        ([0.8, 0.34, 0.33996, 0.1], 0.33998),  # and never past another image
        ([0.8, 0.3, 0.3, 0.1], 0.35),  # what is alike is not parted
    ],
)
def test_as_many_are_called_positive_as_before(after: list[float], expected: float) -> None:
    scores = np.array(after, np.float32)
    found = carry_over(0.35, BEFORE, scores)
    assert found == pytest.approx(expected, abs=1e-6)
    if len(set(after)) == 4:
        assert (scores.astype(np.float64) >= found).sum() == 2


@pytest.mark.parametrize(("threshold", "count"), [(0.95, 0), (0.05, 4)])
def test_none_or_all_stay_none_or_all(threshold: float, count: int) -> None:
    after = np.array([0.99, 0.4, 0.3, 0.02], np.float32)
    assert (after.astype(np.float64) >= carry_over(threshold, BEFORE, after)).sum() == count
