"""A fair choice between strategies, and how far chance may have made it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, strategies as st

torch = pytest.importorskip("torch")

from edge_runtime import (  # noqa: E402
    Accuracy,
)
from edge_train import STRATEGIES  # noqa: E402
from edge_train.several_runs.comparison import (  # noqa: E402
    StrategyRow,
    _images_to_tell_apart,
    choose_best,
)
from strategy_rows import row  # noqa: E402


def test_a_clear_lead_wins_whatever_it_cost() -> None:
    best, why = choose_best([row("feature-extraction", 800, trained=500), row("fine-tune", 950), row("scratch", 700)])
    assert best == "fine-tune" and "15.0 points ahead of feature-extraction" in why and "do not overlap" in why


def test_within_half_a_point_fewer_parameters_win() -> None:
    best, why = choose_best([row("feature-extraction", 945, trained=500), row("fine-tune", 950), row("scratch", 700)])
    assert best == "feature-extraction" and "500 instead of 1,000,000" in why
    assert "1,000 images cannot tell them apart" in why and "0.5 points ahead of feature-extraction" in why


def test_a_lead_that_may_be_chance_is_called_one_and_still_wins() -> None:
    best, why = choose_best([row("feature-extraction", 944, trained=500), row("fine-tune", 950), row("scratch", 935)])
    assert best == "fine-tune" and "1,000 images cannot tell them apart" in why
    assert "0.6 points ahead of feature-extraction and 1.5 points ahead of scratch" in why


def test_half_a_point_that_is_no_chance_wins() -> None:
    rows = [row("feature-extraction", 980_000, 1_000_000, trained=500), row("fine-tune", 984_000, 1_000_000)]
    assert choose_best(rows)[0] == "fine-tune"


def test_level_strategies_that_cost_the_same_go_to_the_pretrained_one() -> None:
    best, why = choose_best([row("scratch", 21, 21), row("fine-tune", 21, 21)])
    assert best == "fine-tune" and "level with" in why and "needs about" not in why


def test_an_untrained_strategy_is_never_the_best() -> None:
    rows = [StrategyRow(strategy="fine-tune", reason="no network"), row("scratch", 0, 9)]
    assert choose_best(rows)[0] == "scratch"
    with pytest.raises(ValueError, match="no strategy"):
        choose_best(rows[:1])


shares = st.lists(st.integers(0, 200), min_size=3, max_size=3)


@given(shares, st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_the_choice_is_near_the_top_and_blind_to_test_accuracy(right: list[int], tests: list[float]) -> None:
    trained = (500, 1_000_000, 1_000_000)
    seen, unseen = (
        [
            row(name, r, 200, t, test if shown else None)
            for name, r, t, test in zip(STRATEGIES, right, trained, tests, strict=True)
        ]
        for shown in (True, False)
    )
    best, why = choose_best(seen)
    assert best == choose_best(unseen)[0] and "Test accuracy had no part" in why
    assert max(right) - right[STRATEGIES.index(best)] <= 1


@given(st.integers(0, 100), st.integers(0, 100))
def test_the_number_of_images_needed_is_enough_and_not_far_too_many(one: int, two: int) -> None:
    assume(one != two)
    low, high = sorted((one / 100, two / 100))
    needed = _images_to_tell_apart(low, high)

    def parted(n: int) -> bool:
        return Accuracy.near(low, n).interval[1] < Accuracy.near(high, n).interval[0]

    assert needed is not None and parted(100 * needed) and not parted(needed // 3 or 1)
    assert _images_to_tell_apart(low, low) is None


def test_strategies_are_chosen_by_what_their_epochs_were_chosen_by() -> None:
    rows = [
        replace(row("fine-tune", 950, test=0.9), best_by="balanced-accuracy", val_value=0.7),
        replace(row("scratch", 900, test=0.9), best_by="balanced-accuracy", val_value=0.75),
    ]
    best, why = choose_best(rows)
    assert best == "scratch" and "best validation balanced accuracy 75.0% (fine-tune balanced accuracy 70.0%)" in why
    assert "Test accuracy had no part" in why
    level = [
        replace(each, val_value=-0.2, best_by="loss") for each in (rows[0], replace(rows[1], parameters_trained=5))
    ]
    best, why = choose_best(level)
    assert best == "scratch" and "loss 0.200" in why
    assert choose_best([replace(rows[0], best_by="auroc", val_value=None)])[0] == "fine-tune"
