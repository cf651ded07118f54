"""What an epoch is chosen by: the figure asked for, the balanced one where a class is rare, ties by the loss."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_runtime import Sample, measure  # noqa: E402
from edge_train.run.criterion import choose_criterion, rank, value_of, written  # noqa: E402
from edge_train.run.epochs import FitState  # noqa: E402
from edge_train.run.optimism import EpochAnswers  # noqa: E402
from edge_train.run.run_folder import EpochRow  # noqa: E402
from edge_train.run.split_answers import SplitAnswers  # noqa: E402
from edge_train.run.step import EpochResult  # noqa: E402
from edge_train.settings import BestBy, Criterion  # noqa: E402


def samples(*counts: int) -> list[Sample]:
    return [Sample(f"{label}/{n}", label) for label, count in enumerate(counts) for n in range(count)]


@pytest.mark.parametrize(
    ("asked", "counts", "chosen", "said"),
    [
        ("auto", (30, 10), "accuracy", ""),
        ("auto", (31, 10), "balanced-accuracy", "commonest class has 31 training images, the rarest 10"),
        ("auto", (10, 40, 0), "balanced-accuracy", "the rarest 10"),
        ("accuracy", (100, 1), "accuracy", ""),
        ("loss", (100, 1), "loss", ""),
        ("balanced-accuracy", (5, 5), "balanced-accuracy", ""),
    ],
)
def test_auto_takes_the_balanced_figure_beyond_one_to_three(
    asked: BestBy, counts: tuple[int, ...], chosen: Criterion, said: str
) -> None:
    found, why = choose_criterion(asked, samples(*counts), samples(3, 3))
    assert found == chosen and said in why and bool(why) == bool(said)


def test_one_class_has_no_auroc_and_the_loss_decides() -> None:
    assert choose_criterion("auroc", samples(5, 5), samples(3))[0] == "loss"
    assert choose_criterion("auroc", samples(5, 5), samples(3, 1)) == ("auroc", "")


def test_the_figures_are_those_that_are_reported() -> None:
    draws = np.random.default_rng(0)
    labels = np.array([0] * 30 + [1] * 7 + [2] * 3)
    answers = SplitAnswers((), draws.normal(size=(40, 3)).astype(np.float32), labels)
    found = measure(("a", "b", "c"), labels, answers.probabilities(1.0))
    assert value_of("accuracy", answers) == found.accuracy
    assert value_of("balanced-accuracy", answers) == pytest.approx(found.balanced_accuracy)
    assert value_of("auroc", answers) == pytest.approx(found.auroc)
    assert value_of("loss", answers) == pytest.approx(found.log_loss, rel=1e-5)


def row(epoch: int, accuracy: float, balanced: float, area: float | None, loss: float) -> EpochRow:
    return EpochRow(epoch, EpochResult(1.0, 0.5, 9, 1.0), loss, accuracy, balanced, area)


@pytest.mark.parametrize(("criterion", "best"), [("accuracy", 2), ("balanced-accuracy", 3), ("loss", 4), ("auroc", 5)])
def test_each_criterion_has_its_best_epoch(criterion: Criterion, best: int) -> None:
    rows = [
        row(1, 0.9, 0.6, None, 0.5),
        row(2, 0.9, 0.6, 0.7, 0.4),
        row(3, 0.8, 0.7, 0.7, 0.5),
        row(4, 0.7, 0.5, 0.6, 0.1),
        row(5, 0.7, 0.6, 0.8, 9.0),
        row(6, 1.0, 1.0, 1.0, math.nan),
    ]
    state = FitState(criterion)
    nothing = EpochAnswers(np.zeros(1, bool), np.zeros(1, np.float32))
    bests = [state.note(each, nothing) for each in rows]
    assert state.best_epoch == best and bests[0] and sum(bests[best:]) == 0 and len(state.history) == 6


def test_what_is_no_number_is_the_worst() -> None:
    worst = rank("auroc", None, 0.1)
    assert worst == rank("auroc", math.nan, 0.1) < rank("auroc", 0.0, 9.0)
    assert rank("accuracy", 1.0, math.nan) < rank("accuracy", 0.0, 9.0)
    assert rank("loss", 0.3, math.nan) < rank("loss", 0.2, 5.0) < rank("loss", 0.2, 4.0)


def test_an_epochs_line_shows_what_it_is_chosen_by() -> None:
    one = row(1, 0.9, 0.625, 0.75, 0.5)
    assert "balanced accuracy 62.5%" in one.describe(9, best=True, criterion="balanced-accuracy")
    assert "AUROC 0.750" in one.describe(9, best=False, criterion="auroc")
    assert "balanced" not in one.describe(9, best=False) and written("auroc", None) == "AUROC –"
