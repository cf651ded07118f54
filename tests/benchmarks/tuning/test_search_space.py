"""What a sweep draws: all of the space before anything twice, the same from the same seed, nothing that must fail."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from edge_benchmarks.tuning.search_space import TuneSettings, draw_trials
from edge_runtime import UsageError
from edge_train import TrainSettings

SPACE: dict[str, Any] = {"backbones": ("mobilenet_v2", "resnet18"), "image_sizes": (64, 96)}


def test_each_combination_comes_before_one_comes_again_and_the_rates_lie_between_the_bounds() -> None:
    trials = draw_trials(TuneSettings(**SPACE, trials=32, lr_scale_low=0.5, lr_scale_high=2.0), TrainSettings(seed=3))
    assert [trial.number for trial in trials] == list(range(1, 33))
    names = ("backbone", "strategy", "image_size", "augment")
    drawn = [tuple(trial.drawn[name] for name in names) for trial in trials]
    every = {*product(SPACE["backbones"], ("feature-extraction", "fine-tune"), (64, 96), ("light", "standard"))}
    assert set(drawn[:16]) == every == set(drawn[16:]) and drawn[:16] != drawn[16:]
    rates = [trial.settings.lr_scale for trial in trials]
    assert all(0.5 <= rate <= 2 and rate == float(f"{rate:.2g}") for rate in rates)
    assert len(set(rates)) > 16 and min(rates) < 0.8 and max(rates) > 1.3


def test_few_trials_are_the_first_of_many_and_another_seed_draws_others() -> None:
    base = TrainSettings(epochs=3, freeze_until=None, views=2)
    few, many = (draw_trials(TuneSettings(**SPACE, trials=count), base) for count in (5, 40))
    assert few == many[:5]
    assert few != draw_trials(TuneSettings(**SPACE, trials=5), TrainSettings(epochs=3, views=2, seed=1))
    for trial in many:
        # Each strategy takes its own settings alone.
        assert trial.settings.epochs == 3 and trial.settings.seed == 0
        assert trial.settings.views == (2 if trial.settings.strategy == "feature-extraction" else None)


def test_without_rates_to_draw_there_are_as_many_trials_as_combinations() -> None:
    space = TuneSettings(backbones=("resnet18",), image_sizes=(None,), lr_scale_low=1.0, lr_scale_high=1.0)
    trials = draw_trials(space, TrainSettings())
    assert len(trials) == 4 and {trial.settings.lr_scale for trial in trials} == {1.0}
    assert "px" not in trials[0].title and "lr-scale 1" in trials[0].title


def test_several_names_stand_in_one_word_or_in_several() -> None:
    space = TuneSettings(backbones=("resnet18, mobilenet_v2", "resnet18"), augments=("none",))
    assert space.backbones == ("resnet18", "mobilenet_v2") and space.augments == ("none",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trials": 0}, "`trials` 0: at least 1"),
        ({"backbones": (",",)}, "`backbones` names none"),
        ({"strategies": ("fine-tune,head",)}, "`strategies` head is not known"),
        ({"augments": ("heavy",)}, "`augments` heavy is not known"),
        ({"image_sizes": ()}, "`image_sizes` names none"),
        ({"lr_scale_low": 3.0, "lr_scale_high": 1.0}, "`lr_scale_low` 3 is more than `lr_scale_high` 1"),
        ({"engine": "dask"}, "`engine` dask is not known"),
        ({"address": "auto"}, "`address` is that of a Ray cluster"),
        ({"grace_epochs": 3}, "say when Ray stops a trial"),
        ({"reduction": 4}, "say when Ray stops a trial"),
        ({"max_latency_ms": 0.0}, "`max_latency_ms` 0: more than 0"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TuneSettings(**given)


@pytest.mark.parametrize(
    ("space", "base", "message"),
    [
        ({"backbones": ("resnet18", "resnet81")}, {}, "resnet81"),
        ({"image_sizes": (8, 224)}, {}, "`image_sizes` 8 are too few pixels for mobilenet_v3_small"),
        ({}, {"folds": 3}, "not on `folds`"),
        ({}, {"weights": "none"}, "`strategies` feature-extraction needs pretrained weights"),
        ({}, {"weights": "mine.pth"}, "`weights` mine.pth is of one backbone, but `backbones` names 3"),
    ],
)
def test_what_trials_would_fail_by_is_refused_before_the_first(
    space: dict[str, Any], base: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        draw_trials(TuneSettings(**space), TrainSettings(**base))


@pytest.mark.parametrize("name", ["trials", "backbones", "image_sizes"])
def test_settings_of_another_kind_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=rf"`{name}` <object"):
        TuneSettings(**{name: object()})
    if name != "image_sizes":
        with pytest.raises(UsageError, match=rf"`{name}` None"):
            TuneSettings(**{name: None})
