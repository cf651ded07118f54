"""A fair choice between strategies, and how far chance may have made it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from edge_train import STRATEGIES, Strategy  # noqa: E402
from edge_train.several_runs.comparison import StrategyRow, choose_best  # noqa: E402
from edge_train.several_runs.paired_answers import Disagreement  # noqa: E402
from strategy_rows import row  # noqa: E402


def test_a_clear_lead_wins_whatever_it_cost() -> None:
    best, why = choose_best([row("feature-extraction", 800, trained=500), row("fine-tune", 950), row("scratch", 700)])
    assert best == "fine-tune" and "15.0 points ahead of feature-extraction" in why and "do not overlap" in why


def test_within_half_a_point_fewer_parameters_win() -> None:
    best, why = choose_best([row("feature-extraction", 945, trained=500), row("fine-tune", 950), row("scratch", 700)])
    assert best == "feature-extraction" and "500 instead of 1,000,000" in why
    assert "intervals overlap: that may be chance" in why and "0.5 points ahead of feature-extraction" in why


def test_a_lead_that_may_be_chance_is_called_one_and_still_wins() -> None:
    best, why = choose_best([row("feature-extraction", 944, trained=500), row("fine-tune", 950), row("scratch", 935)])
    assert best == "fine-tune" and "intervals overlap: that may be chance" in why and "tell" not in why
    assert "0.6 points ahead of feature-extraction and 1.5 points ahead of scratch" in why


def test_half_a_point_that_is_no_chance_wins() -> None:
    rows = [row("feature-extraction", 980_000, 1_000_000, trained=500), row("fine-tune", 984_000, 1_000_000)]
    assert choose_best(rows)[0] == "fine-tune"


def test_level_strategies_that_cost_the_same_go_to_the_pretrained_one() -> None:
    best, why = choose_best([row("scratch", 21, 21), row("fine-tune", 21, 21)])
    assert best == "fine-tune" and "level with" in why and "would" not in why


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


def which(first: int, second: int, n: int = 600) -> dict[Strategy, NDArray[np.bool_]]:
    """Which of `n` images two strategies have right: all but those that the other one alone has."""
    own, other = np.ones(n, bool), np.ones(n, bool)
    other[:first] = own[first : first + second] = False
    return {"fine-tune": own, "feature-extraction": other}


def test_the_same_images_tell_what_two_intervals_do_not() -> None:
    rows = [row("fine-tune", 596, 600), row("feature-extraction", 580, 600, trained=500)]
    best, why = choose_best(rows, which(20, 4))
    assert best == "fine-tune" and "2.7 points ahead of feature-extraction, which is hardly chance" in why
    assert "(20 against 4 right where they differ, p 0.0015 by McNemar's exact test)" in why and "overlap" not in why
    rows = [row("fine-tune", 596, 600), row("feature-extraction", 595, 600, trained=500)]
    best, why = choose_best(rows, which(5, 4))
    assert best == "feature-extraction" and "That may be chance: 600 images do not tell them apart (5 against 4" in why
    assert "; about 21,000 would)" in why
    same = [row("fine-tune", 600, 600), row("feature-extraction", 600, 600, trained=500)]
    assert "do not tell them apart (both have the same right)." in choose_best(same, which(0, 0))[1]


@pytest.mark.parametrize(
    ("first", "second"), [(0, 0), (1, 0), (5, 4), (20, 4), (6, 0), (5, 0), (400, 330), (3000, 2800)]
)
def test_mcnemars_test_is_the_exact_one(first: int, second: int) -> None:
    found = Disagreement(10_000, first, second)
    exact = pytest.importorskip("scipy.stats").binomtest(first, first + second).pvalue if first + second else 1.0
    assert found.chance == pytest.approx(exact, abs=1e-9) and found.tells == (exact < 0.05)
    assert Disagreement(10_000, second, first).chance == found.chance
    if first > second > 0:

        def tells(n: int) -> bool:
            return Disagreement(n, round(n * first / 10_000), round(n * second / 10_000)).tells

        assert (needed := found.images_needed) is not None and tells(2 * needed) and not tells(needed // 2)
    elif first == second:
        assert found.images_needed is None


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
