"""The luck of the best epoch, where it is known: simulated epochs whose true accuracy nobody has to estimate."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from edge_runtime import Sample, auroc  # noqa: E402
from edge_train.run.epochs import FitState  # noqa: E402
from edge_train.run.finish import _optimism  # noqa: E402
from edge_train.run.optimism import (  # noqa: E402
    MOST_SCORES,
    EpochAnswers,
    Optimism,
    _auroc,
    _Choice,
    estimate_optimism,
    from_tensors,
    to_tensors,
)
from edge_train.run.split_answers import SplitAnswers  # noqa: E402
from edge_train.settings import Criterion, OneLabelCriterion  # noqa: E402

Truth = NDArray[np.float64]


def epochs_of(right: NDArray[np.bool_]) -> list[EpochAnswers]:
    return [EpochAnswers(row, np.where(row, 0.3, 1.2).astype(np.float32)) for row in right]


def simulated(shares: Truth, images: int, draws: np.random.Generator, *, alike: float = 0.0) -> NDArray[np.bool_]:
    """Epochs right on `shares` of images, `[epochs, N]`; `alike` is how much of the luck is the images' own."""
    own, common = draws.random((len(shares), images)), draws.random(images)
    luck = np.where(draws.random((len(shares), images)) < alike, common, own)
    return luck < shares[:, None]


def mean_estimate_and_truth(shares: Truth, images: int, *, alike: float = 0.0, times: int = 200) -> tuple[float, float]:
    """Both in points, over many simulated runs: what is estimated, and what the chosen epoch is truly too good by."""
    draws = np.random.default_rng(0)
    estimates, truths = [], []
    labels = np.arange(images) % 2
    for _ in range(times):
        right = simulated(shares, images, draws, alike=alike)
        found = estimate_optimism(epochs_of(right), labels, "accuracy")
        assert found is not None and (found.epochs, found.images) == (len(shares), images)
        estimates.append(found.points)
        best = right.mean(axis=1).argmax()
        truths.append(100 * (right[best].mean() - shares[best]))
    return float(np.mean(estimates)), float(np.mean(truths))


@pytest.mark.parametrize(("count", "images"), [(5, 60), (30, 60), (50, 150)])
def test_of_many_epochs_of_pure_chance_it_finds_the_luck_of_the_best(count: int, images: int) -> None:
    estimate, truth = mean_estimate_and_truth(np.full(count, 0.7), images)
    assert truth > 3 and estimate == pytest.approx(truth, rel=0.15)


def test_bursts_are_drawn_whole() -> None:
    draws = np.random.default_rng(0)
    bursts = np.repeat(np.arange(6), 10)
    names = [f"burst {number}" for number in bursts]
    estimates, truths, alone = [], [], []
    for _ in range(100):
        # Frames of a burst are right together.
        right = simulated(np.full(30, 0.7), 6, draws)[:, bursts]
        found, single = (
            estimate_optimism(epochs_of(right), np.zeros(60, np.int64), "accuracy", groups=groups)
            for groups in (names, None)
        )
        assert found is not None and single is not None and found.images == 60
        estimates.append(found.points)
        alone.append(single.points)
        truths.append(100 * (right.mean(axis=1).max() - 0.7))
    assert np.mean(truths) > 25 and np.mean(estimates) == pytest.approx(np.mean(truths), rel=0.15)
    assert np.mean(alone) < 2
    one = estimate_optimism(epochs_of(right), np.zeros(60, np.int64), "accuracy", groups=["one burst"] * 60)
    assert one is None, "nothing had no part in the choice"


def test_a_run_is_told_of_with_its_groups() -> None:
    samples = tuple(Sample(f"{number}.jpg", 0) for number in range(60))
    logits, labels = np.zeros((60, 2), np.float32), np.zeros(60, np.int64)
    right = simulated(np.full(30, 0.7), 6, np.random.default_rng(0))[:, np.repeat(np.arange(6), 10)]
    state = FitState("accuracy", answers=epochs_of(right))
    names = {f"{number}.jpg": f"burst {number // 10}" for number in range(60)}
    grouped, single = (_optimism(state, {"val": SplitAnswers(samples, logits, labels, each)}) for each in (names, {}))
    assert grouped is not None and single is not None and grouped.points > single.points + 5


def test_epochs_that_learn_and_err_on_the_same_images_are_less_lucky_and_it_says_so() -> None:
    shares = np.concatenate([np.linspace(0.5, 0.8, 10), np.full(10, 0.8)])
    chance, _ = mean_estimate_and_truth(np.full(20, 0.8), 100)
    estimate, truth = mean_estimate_and_truth(shares, 100, alike=0.8)
    assert truth < estimate + 1 and estimate == pytest.approx(truth, abs=1) and estimate < 0.7 * chance


def test_where_the_choice_is_plain_there_is_no_luck_in_it() -> None:
    draws = np.random.default_rng(0)
    labels = np.arange(200) % 2
    plain = simulated(np.array([0.5, 0.95, 0.6]), 200, draws)
    found = estimate_optimism(epochs_of(plain), labels, "accuracy")
    assert found is not None and found.points == 0
    same = np.repeat(plain[1:2], 9, axis=0)
    found = estimate_optimism(epochs_of(same), labels, "accuracy")
    assert found is not None and found.points == 0 and "less than 0.1 points too good" in str(found)


@pytest.mark.parametrize("criterion", get_args(OneLabelCriterion))
def test_the_epoch_is_chosen_again_by_what_it_was_chosen_by(criterion: Criterion) -> None:
    draws = np.random.default_rng(1)
    labels = np.array([0] * 70 + [1] * 20 + [2] * 10)
    logits = draws.normal(size=(6, 100, 3)) + 1.5 * np.eye(3)[labels]
    answers = [SplitAnswers((), each.astype(np.float32), labels) for each in logits]
    epochs = [EpochAnswers.of(each, criterion) for each in answers]
    figure: Callable[[SplitAnswers], float] = {
        "accuracy": lambda each: each.accuracy.share,
        "balanced-accuracy": lambda each: each.balanced_accuracy,
        "loss": lambda each: -each.loss,
        "auroc": lambda each: each.auroc or 0.0,
    }[criterion]
    wanted = int(np.argmax([figure(each) for each in answers]))
    choice = _Choice.among(epochs, labels, criterion)
    assert choice.best(np.ones((1, 100))).tolist() == [wanted]
    # A resample is the same as a split that has each image as often as it was drawn.
    drawn = draws.multinomial(100, np.full(100, 0.01), size=20)
    for times, best in zip(drawn, choice.best(drawn.astype(float)), strict=True):
        index = np.repeat(np.arange(100), times)
        again = [figure(SplitAnswers((), each.logits[index], labels[index])) for each in answers]
        assert again[int(best)] == pytest.approx(max(again), abs=1e-6)
    found = estimate_optimism(epochs, labels, criterion)
    assert found is not None and found == estimate_optimism(epochs, labels, criterion)
    assert found.points > 0 or criterion != "accuracy"


def test_a_weighted_auroc_is_that_of_images_repeated() -> None:
    draws = np.random.default_rng(0)
    labels, scores = draws.integers(0, 3, 30), draws.integers(0, 4, (30, 3)).astype(np.float32) / 4
    drawn = draws.multinomial(30, np.full(30, 1 / 30), size=8)
    for times, found in zip(drawn, _auroc(drawn.astype(float), labels, scores), strict=True):
        index = np.repeat(np.arange(30), times)
        areas = [auroc(labels[index] == label, scores[index, label]) for label in range(3)]
        assert found == pytest.approx(np.mean([area for area in areas if area is not None]))


def test_nothing_is_estimated_where_nothing_was_chosen() -> None:
    one = epochs_of(np.ones((1, 9), bool))
    assert estimate_optimism(one, np.zeros(9, np.int64), "accuracy") is None
    assert estimate_optimism([*one, *one], np.zeros(9, np.int64), "auroc") is None, "no scores were kept"
    found = Optimism(1.26, 12, 60)
    assert (
        str(found)
        == "the accuracy of the best of 12 epochs on the 60 images that chose it is about 1.3 points too good"
    )


def test_answers_are_kept_as_tensors_and_come_back() -> None:
    labels = np.array([0, 1, 1])
    logits = np.array([[1, 0], [0, 90], [3, 0]], np.float32)
    kept = [EpochAnswers.of(SplitAnswers((), logits, labels), criterion) for criterion in ("accuracy", "accuracy")]
    back = from_tensors(to_tensors(kept))
    assert len(back) == 2 and back[0].right.tolist() == [True, True, False] and back[0].scores is None
    np.testing.assert_allclose(back[1].loss, [0.313, 0, 3.049], atol=1e-3)
    scored = from_tensors(to_tensors([EpochAnswers.of(SplitAnswers((), logits, labels), "auroc")]))
    assert scored[0].scores is not None and scored[0].scores.shape == (3, 2)


@pytest.mark.parametrize("criterion", get_args(OneLabelCriterion))
@pytest.mark.parametrize("lost", [slice(None), slice(2)])
def test_an_epoch_that_answered_no_numbers_is_not_the_one_chosen(criterion: Criterion, lost: slice) -> None:
    """Its highest logit counts as the first, so that it was right on all images of the first class."""
    labels = np.array([0] * 30 + [1] * 10)
    logits = np.random.default_rng(0).normal(size=(3, 40, 2)) + np.eye(2)[labels]
    # But for some it would be the best.
    logits[2] = 9 * np.eye(2)[labels]
    logits[2, lost] = np.nan
    answers = [SplitAnswers((), each.astype(np.float32), labels) for each in logits]
    assert answers[2].accuracy.correct == 40 - len(labels[lost]) and not answers[2].right[lost].any()
    epochs = from_tensors(to_tensors([EpochAnswers.of(each, criterion) for each in answers]))
    assert not np.isfinite(epochs[2].loss[lost]).any() and not epochs[2].right[lost].any()
    choice = _Choice.among(epochs, labels, criterion)
    chosen = choice.best(np.ones((1, 40)))
    assert chosen.tolist() == _Choice.among(epochs[:2], labels, criterion).best(np.ones((1, 40))).tolist()
    assert estimate_optimism(epochs, labels, criterion) is not None


def test_no_more_scores_are_kept_of_all_epochs_than_can_be_ranked() -> None:
    answers = SplitAnswers((), np.zeros((100, 10), np.float32), np.zeros(100, np.int64))
    most = MOST_SCORES // 1000
    assert EpochAnswers.of(answers, "auroc", epochs=most).scores is not None
    too_many = EpochAnswers.of(answers, "auroc", epochs=most + 1)
    assert too_many.scores is None
    whole = EpochAnswers.of(answers, "auroc", whole=True)
    assert whole.logits is answers.logits and whole.scores is None, "scores are made of logits"
    few = EpochAnswers.of(answers, "auroc", epochs=2)
    assert {*to_tensors([few, too_many])} == {"right", "loss"}, "a run that another edge began"
