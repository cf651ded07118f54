"""Each disease of the troubleshooting list is recognised alone, a healthy run has none, and no history breaks it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from edge_runtime import Metrics
from edge_train.report.diagnosis import EpochFigures, diagnose

HEALTHY = ((0.60, 0.80, 0.40, 0.90), (0.25, 0.92, 0.22, 0.94), (0.18, 0.94, 0.19, 0.95), (0.16, 0.95, 0.188, 0.95))


def history(rows: Sequence[tuple[float, float, float, float]]) -> tuple[EpochFigures, ...]:
    return tuple(EpochFigures(number, *row) for number, row in enumerate(rows, 1))


def metrics(right: Sequence[int], wrong: Sequence[int], error: float = 0.02) -> Metrics:
    """A confusion matrix whose wrong answers go to the class before."""
    confusion = np.diag(right).astype(np.int64)
    for label, count in enumerate(wrong):
        confusion[label, label - 1] += count
    return of_confusion(confusion, error)


def of_confusion(confusion: NDArray[np.int64], error: float) -> Metrics:
    classes = len(confusion)
    labels, none = tuple(f"class{number}" for number in range(classes)), (None,) * classes
    return Metrics(labels, confusion, error, log_loss=0.1, brier=0.1, class_auroc=none, class_average_precision=none)


def kinds(rows: Sequence[tuple[float, float, float, float]] = HEALTHY, **changed: Any) -> list[str]:
    return [found.kind for found in found_in(rows, **changed)]


def found_in(rows: Sequence[tuple[float, float, float, float]] = HEALTHY, **changed: Any) -> Any:
    settings: dict[str, Any] = {
        "strategy": "fine-tune",
        "epochs": len(rows),
        "counts": {"ants": 500, "bees": 600},
        "val": metrics((475, 475), (25, 25)),
    }
    return diagnose(history(rows), **(settings | changed))


def test_a_healthy_run_has_nothing() -> None:
    assert kinds() == []


@pytest.mark.parametrize(
    "rows",
    [
        ((0.6, 0.8, 0.4, 0.9), (math.nan, 0.5, math.nan, 0.5)),
        ((0.6, 0.8, 0.4, 0.9), (math.inf, 0.5, 0.4, 0.9)),
        ((0.6, 0.8, 0.4, 0.9), (0.3, 0.9, 0.3, 0.92), (0.9, 0.7, 0.8, 0.8)),
        ((3.0, 0.5, 3.1, 0.5), (2.9, 0.5, 3.1, 0.5)),
    ],
    ids=["nan", "infinite", "jump", "worse than guessing"],
)
def test_a_rate_too_high(rows: Any) -> None:
    (found,) = found_in(rows)
    assert (found.kind, found.flag) == ("rate-too-high", "--lr-scale 0.1")


def test_a_loss_near_zero_may_wobble() -> None:
    assert kinds((*HEALTHY, (0.001, 1.0, 0.19, 0.95), (0.01, 0.99, 0.19, 0.95))) == []


def test_a_jump_that_was_made_good_is_none() -> None:
    assert kinds((HEALTHY[0], (0.9, 0.7, 0.8, 0.8), *HEALTHY[1:])) == []


def test_a_rate_too_low() -> None:
    (found,) = found_in(((0.695, 0.5, 0.694, 0.5), (0.694, 0.51, 0.693, 0.5), (0.692, 0.52, 0.692, 0.5)))
    assert (found.kind, found.flag) == ("rate-too-low", "--lr-scale 10")


MEMORISED = ((0.5, 0.75, 0.4, 0.85), (0.1, 0.97, 0.42, 0.86), (0.01, 1.0, 0.9, 0.86))


@pytest.mark.parametrize(
    ("strategy", "augment", "flag"),
    [
        ("scratch", "light", "--strategy fine-tune"),
        ("fine-tune", "light", "--augment standard"),
        ("feature-extraction", "standard", "--dropout 0.3"),
    ],
)
def test_overfitting_names_what_was_not_tried_yet(strategy: str, augment: str, flag: str) -> None:
    (found,) = found_in(MEMORISED, strategy=strategy, augment=augment)
    assert (found.kind, found.flag) == ("overfitting", flag)
    assert "0.400" in found.text and "0.900" in found.text


def test_a_gap_is_overfitting_only_beyond_the_interval_of_validation() -> None:
    gap = ((0.5, 0.75, 0.5, 0.8), (0.1, 0.94, 0.45, 0.82), (0.09, 0.94, 0.45, 0.82))
    assert kinds(gap) == ["overfitting"]
    assert "overfitting" not in kinds(gap, val=metrics((4, 5), (1, 1)))


def test_underfitting() -> None:
    flat = ((1.0, 0.4, 0.9, 0.5), (0.62, 0.65, 0.6, 0.66), (0.6, 0.66, 0.6, 0.66))
    assert [(f.kind, f.flag) for f in found_in(flat, strategy="feature-extraction")] == [
        ("underfitting", "--strategy fine-tune")
    ]
    assert found_in(flat, backbone="resnet18")[0].flag == "--backbone resnet50"
    assert found_in(flat, backbone="resnet50")[0].flag == "--backbone convnext_tiny"


def test_a_short_run_from_scratch_asks_for_more_epochs_before_another_strategy() -> None:
    flat = ((1.0, 0.4, 0.9, 0.5), (0.62, 0.65, 0.6, 0.66), (0.6, 0.66, 0.6, 0.66))
    assert [(f.kind, f.flag) for f in found_in(flat, strategy="scratch")] == [("more-epochs", "--epochs 12")]
    long = (flat[0], *[flat[1]] * 12)
    assert [(f.kind, f.flag) for f in found_in(long, strategy="scratch")] == [("underfitting", "--strategy fine-tune")]


def test_still_improving_asks_for_twice_the_epochs() -> None:
    falling = ((0.7, 0.6, 0.6, 0.7), (0.5, 0.75, 0.45, 0.8), (0.35, 0.85, 0.3, 0.88))
    (found,) = found_in(falling)
    assert (found.kind, found.flag) == ("more-epochs", "--epochs 6")
    assert kinds(falling, epochs=10) == [], "it stopped by itself"


def test_imbalance() -> None:
    (found,) = found_in(counts={"ants": 1001, "bees": 100})
    assert (found.kind, found.flag) == ("imbalance", "--class-balance weights")
    assert "1001" in found.text and "bees only 100" in found.text
    assert kinds(counts={"ants": 1000, "bees": 100}) == []
    assert kinds(counts={"ants": 5, "bees": 0}) == ["imbalance"]


def test_a_class_never_predicted_is_named() -> None:
    (found,) = found_in(val=metrics((950, 0), (0, 40)))
    assert found.kind == "never-predicted" and "class1" in found.text
    assert kinds(val=metrics((950, 0), (0, 2))) == [], "two images prove nothing"


def test_a_small_validation_split_says_its_interval() -> None:
    (found,) = found_in(val=metrics((28, 28), (2, 2)))
    assert found.kind == "small-validation" and found.flag == "--seed 1"
    assert "60 validation images" in found.text and "84.1% to 97.4%" in found.text and "13 points" in found.text
    assert found_in(val=metrics((28, 28), (2, 2)), limit=600)[0].flag == "--limit 1200"


def test_bad_calibration_beyond_what_few_images_scatter() -> None:
    (found,) = found_in(val=metrics((475, 475), (25, 25), error=0.12))
    assert (found.kind, found.flag) == ("calibration", "--label-smoothing 0.1")
    assert "calibration" not in kinds(val=metrics((28, 28), (2, 2), error=0.12))
    (fitted,) = found_in(val=replace(metrics((475, 475), (25, 25), error=0.12), calibration_folds=0))
    assert "on the very images that it was fitted on" in fitted.text and "fitted on" not in found.text


numbers = st.floats(allow_nan=True, allow_infinity=True)
rows = st.lists(st.builds(EpochFigures, st.integers(), *[numbers] * (len(fields(EpochFigures)) - 1)), max_size=6)
shares = st.floats(0, 1)
likely = st.lists(st.builds(EpochFigures, st.integers(1, 9), st.floats(0, 5), shares, st.floats(0, 5), shares))
matrices = st.integers(1, 4).flatmap(
    lambda n: st.lists(st.integers(0, 50), min_size=n * n, max_size=n * n).map(
        lambda cells: of_confusion(np.array(cells, dtype=np.int64).reshape(n, n), sum(cells) / 200 / n**2)
    )
)


@given(
    st.one_of(rows, likely),
    st.sampled_from(["fine-tune", "scratch", "feature-extraction"]),
    st.integers(-1, 10),
    st.dictionaries(st.text(), st.integers(0, 10**6)),
    st.none() | matrices,
)
def test_no_history_breaks_it(
    figures: list[EpochFigures], strategy: str, epochs: int, counts: dict[str, int], val: Metrics | None
) -> None:
    found = diagnose(figures, strategy=strategy, epochs=epochs, counts=counts, val=val)
    assert all(diagnosis.text.strip() and diagnosis.flag.startswith("--") for diagnosis in found)
    assert all(one.kind != other.kind for one, other in pairwise(found))
