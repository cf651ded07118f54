"""A threshold for a sensitivity: the largest that reaches it, robust to rounding, and counted right."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from edge_runtime import OperatingPoint, UsageError, check_positive, choose_operating_point, measure_at
from edge_runtime.scores.thresholds import ROUNDING

LABELS = ("ants", "bees")


def of_scores(*scores: float) -> NDArray[np.float32]:
    """Probabilities `[N, 2]` whose second column are `scores`."""
    second = np.array(scores, np.float32)
    return np.stack([1 - second, second], axis=1)


def test_the_largest_threshold_that_finds_enough() -> None:
    truth = np.array([1, 1, 1, 1, 0, 0, 0])
    probabilities = of_scores(0.9, 0.8, 0.4, 0.1, 0.6, 0.3, 0.05)
    point = choose_operating_point(LABELS, "bees", 0.75, truth, probabilities)
    assert point == OperatingPoint("bees", pytest.approx(0.4, abs=2 * ROUNDING), 0.75, 7, 4) and point.threshold < 0.4
    found = measure_at(point, LABELS, truth, probabilities)
    assert (found.found, found.missed, found.alarmed, found.left) == (3, 1, 1, 2)
    value = found.to_json()
    assert (value["sensitivity"], value["specificity"], value["precision"]) == (0.75, 2 / 3, 0.75)
    assert value["sensitivity_interval_95"][0] < 0.75 < value["sensitivity_interval_95"][1]
    # What rounding in an exported file may do to the last score changes nothing.
    assert measure_at(point, LABELS, truth, probabilities - np.float32(ROUNDING / 2)).found == 3
    all_of_them = choose_operating_point(LABELS, "bees", 0.76, truth, probabilities)
    assert measure_at(all_of_them, LABELS, truth, probabilities).missed == 0 and all_of_them.threshold < 0.1
    other = choose_operating_point(LABELS, "ants", 1.0, truth, probabilities)
    assert measure_at(other, LABELS, truth, probabilities).missed == 0 and other.positives == 3


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=60),
    st.sampled_from([0.01, 0.3, 0.5, 0.9, 0.95, 1.0]),
)
def test_no_larger_threshold_reaches_the_target(pairs: list[tuple[bool, int]], target: float) -> None:
    truth = np.array([int(positive) for positive, _ in pairs])
    probabilities = of_scores(*(level / 20 for _, level in pairs))
    if not truth.any():
        with pytest.raises(UsageError, match="no validation image is of bees"):
            choose_operating_point(LABELS, "bees", target, truth, probabilities)
        return
    point = choose_operating_point(LABELS, "bees", target, truth, probabilities)
    scores = probabilities[:, 1].astype(np.float64)
    share = float((scores[truth == 1] >= point.threshold).mean())
    assert share >= target - 1e-9 and 0 <= point.threshold <= 1
    higher = sorted({score for score in scores if score > point.threshold + ROUNDING})
    assert all((scores[truth == 1] >= score).mean() < target for score in higher)
    # No image lies between the threshold and the score it stands for.
    assert not ((scores >= point.threshold) & (scores < scores[scores >= point.threshold].min())).any()


def test_what_has_no_images_has_no_rate() -> None:
    point = OperatingPoint("bees", 0.5, 0.95, 1, 1)
    value = measure_at(point, LABELS, np.array([0]), of_scores(0.2)).to_json()
    assert value["sensitivity"] is value["sensitivity_interval_95"] is value["precision"] is None
    assert value["specificity"] == 1.0


def test_a_class_is_known_in_whatever_form_it_is_typed() -> None:
    one, two = (unicodedata.normalize(form, "Bär") for form in ("NFC", "NFD"))
    for label, said in ((one, two), (two, one), (two, two)):
        labels = ("ants", label)
        assert check_positive(said, labels) == label
        assert choose_operating_point(labels, said, 0.9, np.array([0, 1]), of_scores(0.2, 0.8)).positive == label


@pytest.mark.parametrize(
    ("positive", "labels", "said"),
    [("wasps", LABELS, "not one of the classes"), ("ants", (*LABELS, "wasps"), "for two classes, but there are 3")],
)
def test_a_class_that_cannot_be_the_positive_one_is_refused(positive: str, labels: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_positive(positive, labels)
