"""Which trial is recommended: the best on validation, or the fastest that it cannot be told from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from edge_benchmarks.tuning.search_space import Trial
from edge_benchmarks.tuning.sweep import TrialRow, choose_trial, front, in_order
from edge_runtime import Accuracy, EdgeError, Run
from edge_train import StrategyRow, TrainSettings


def row(number: int, right: int, latency_ms: float | None, n: int = 1000, **figures: Any) -> TrialRow:
    accuracy = Accuracy.near(right / n, n)
    found = StrategyRow(
        strategy="fine-tune",
        run=Run(Path(f"runs/{number}")),
        val_accuracy=accuracy.share,
        val_n=n,
        val_interval=accuracy.interval,
        val_value=accuracy.share,
        **figures,
    )
    return TrialRow(trial=Trial(number, TrainSettings()), figures=found, epochs=5, latency_ms=latency_ms)


FAILED = TrialRow(trial=Trial(9, TrainSettings()), reason="no weights")


def test_the_best_on_validation_is_taken_and_its_sentence_says_of_how_many() -> None:
    best, why = choose_trial([FAILED, row(1, 900, 5), row(2, 950, 20), row(3, 930, 1)], None)
    assert best.trial.number == 2
    assert why.startswith("trial 2 has the best validation figure of 3 trials, accuracy 95.0% (n 1,000).")
    assert "test images had no part" in why


def test_of_those_that_cannot_be_told_apart_the_fastest_is_taken() -> None:
    rows = [row(1, 950, 20), row(2, 946, 4), row(3, 940, 1), row(4, 947, None)]
    best, why = choose_trial(rows, None)
    assert best.trial.number == 2
    assert "of the 3 whose 95 % intervals overlap" in why and "trial 2 is the fastest, 4.00 ms" in why


def test_none_is_slower_than_allowed_and_what_has_no_latency_does_not_fit() -> None:
    rows = [row(1, 950, 20), row(2, 900, 4), row(3, 990, None)]
    best, why = choose_trial(rows, 10)
    assert best.trial.number == 2 and "of 1 trial within 10 ms" in why
    with pytest.raises(EdgeError, match=r"no trial answers within 1 ms: the fastest takes 4\.00 ms"):
        choose_trial(rows, 1)


def test_where_no_trial_has_figures_their_reasons_are_the_error() -> None:
    gone = TrialRow(trial=Trial(1, TrainSettings()), reason="runs/1 is not a finished run")
    with pytest.raises(EdgeError, match=r"no trial has figures: no weights; runs/1 is not a finished run"):
        choose_trial([FAILED, gone], None)


def test_by_another_figure_only_equals_are_alike() -> None:
    one, two = row(1, 950, 20, best_by="loss"), row(2, 949, 1, best_by="loss")
    assert choose_trial([one, two], None)[0] is one
    same = replace(two, figures=replace(two.figures, val_value=0.95))  # type: ignore[type-var]
    assert choose_trial([one, same], None)[0] is same


def test_the_front_is_what_none_faster_is_as_good_as() -> None:
    rows = [FAILED, row(1, 900, 5), row(2, 950, 20), row(3, 930, 25), row(4, 900, 6), row(5, 990, None)]
    assert [each.trial.number for each in front(rows)] == [1, 2]
    assert [each.trial.number for each in in_order(rows)] == [5, 2, 3, 1, 4, 9]


def test_a_row_is_plain_data() -> None:
    plain = row(1, 950, 20).to_json()
    assert plain["trial"] == 1 and plain["run"] == "runs/1" and plain["latency_ms"] == 20
    assert FAILED.to_json()["reason"] == "no weights" and "val_accuracy" not in FAILED.to_json()
