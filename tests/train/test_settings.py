"""Settings: what makes no sense is refused by the parameter's name before anything is read or written."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import UsageError
from edge_train import STRATEGIES, TrainSettings


def test_the_defaults_are_a_run_without_arguments() -> None:
    settings = TrainSettings()
    assert (settings.data, settings.backbone, settings.strategy, settings.weights) == (
        "shapes", "resnet18", "auto", "default",
    )  # fmt: skip
    assert (settings.seed, settings.on_bad_image, settings.limit, settings.image_size) == (0, "error", None, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.epochs = 6  # type: ignore[misc]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"epochs": 0}, "`epochs` 0: at least 1"),
        ({"epochs": -3}, "`epochs` -3"),
        ({"batch_size": 0}, "`batch_size` 0"),
        ({"threads": 0}, "`threads` 0"),
        ({"seed": -1}, "`seed` -1: at least 0"),
        ({"seed": 2**63}, f"`seed` {2**63}: at most"),
        ({"limit": 0}, "`limit` 0"),
        ({"strategy": "finetune"}, "`strategy` finetune"),
        ({"on_bad_image": "ignore"}, "`on_bad_image` ignore"),
        ({"strategy": "fine-tune", "weights": "none"}, "`strategy` fine-tune needs pretrained weights"),
        ({"strategy": "feature-extraction", "weights": "none"}, "`strategy` feature-extraction needs pretrained"),
        *(({"strategy": "fine-tune", "weights": text}, "needs pretrained weights") for text in ("None", " NONE ")),
        ({"strategy": "scratch", "weights": "mine.pth"}, "`weights` is mine.pth"),
        ({"lr_decay_per_stage": 1.5}, "`lr_decay_per_stage` 1.5"),
        ({"unfreeze_every": 0}, "`unfreeze_every` 0"),
        ({"head_epochs": 5}, "`head_epochs` 5 leaves none of 5 epochs"),
        ({"unfreeze_every": 5}, "`unfreeze_every` 5 leaves none of 5 epochs to a stage but the head"),
        ({"unfreeze_every": 1, "freeze_until": "head"}, "`unfreeze_every` has nothing to thaw"),
        ({"views": 0}, "`views` 0"),
        ({"views": 2, "strategy": "fine-tune"}, "`views` is for feature extraction"),
        ({"start_size": 32, "strategy": "feature-extraction"}, "a frozen backbone sees each image once"),
        ({"start_size": 32, "epochs": 1}, "grows from epoch to epoch"),
        ({"views": 2, "mixup": 0.2}, "`mixup` and `cutmix` cannot mix"),
        ({"ema": 0.1}, "`ema` 0.1"),
        ({"mixup": -1.0}, "`mixup` -1"),
        ({"teacher_weight": 1.5}, "`teacher_weight` 1.5"),
        ({"teacher_temperature": 0.0}, "`teacher_temperature` 0"),
        ({"hidden_units": 0}, "`hidden_units` 0"),
        ({"stem": "tiny"}, "`stem` tiny"),
        ({"stem": "small", "strategy": "fine-tune"}, "`stem` small has no pretrained weights"),
        ({"stem": "small", "weights": "mine.pth"}, "`stem` small has no pretrained weights"),
        ({"precision": "fp16"}, "`precision` fp16"),
        ({"batch_norm": "off"}, "`batch_norm` off"),
        ({"best_by": "f1"}, "`best_by` f1 is not known"),
        ({"folds": 1}, "`folds` 1: at least 2"),
        ({"folds": 5, "teacher": "run"}, "`folds` measure on every image, and the `teacher`"),
        ({"multi_label": True, "tasks": ("a", "b")}, "`multi_label` and `tasks` read the labels in two ways"),
        ({"multi_label": True, "positive": "a"}, "`positive` is for pictures of one label, not for `multi_label`"),
        ({"tasks": "a,b", "mixup": 0.2}, "`mixup` is for pictures of one label, not for `tasks`"),
        ({"multi_label": True, "class_balance": "sampler"}, "`class_balance` sampler is for pictures of one label"),
        ({"multi_label": True, "task_weights": "learned"}, "`task_weights` weighs the `tasks`"),
        ({"multi_label": True, "best_by": "accuracy"}, "`best_by` accuracy is for pictures of one label"),
        ({"tasks": "a,b", "best_by": "auroc"}, "`best_by` auroc is for pictures of one label, not for `tasks`"),
        ({"task_weights": "learned"}, "`task_weights` weighs the `tasks`, and there are none"),
        ({"tasks": "a,b", "folds": 3}, "`folds` is for pictures of one label, not for `tasks`"),
        ({"tasks": "a,b", "teacher": "run"}, "`teacher` is for pictures of one label"),
        ({"tasks": "a,b", "task_weights": "a=1"}, "`task_weights` a=1 says nothing of b"),
        ({"tasks": "a,b", "task_weights": "a=1,b=0"}, "'0' is no weight"),
        ({"tasks": "a,b", "task_weights": "a=1,b=x"}, "'x' is no weight"),
        ({"tasks": "a,b", "task_weights": "a=1,c=2"}, "'c=2' weighs no task"),
        ({"tasks": "a,b", "task_weights": "a=1,a=2"}, "'a=2' weighs no task, or one again"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(value: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrainSettings(**value)
    assert said in caught.value.message
    assert caught.value.exit_code == 2


FINE_TUNING: dict[str, Any] = {
    "lr_decay_per_stage": 0.5,
    "freeze_until": "layer3",
    "unfreeze_every": 1,
    "head_epochs": 1,
    "batch_norm": "train",
}


@pytest.mark.parametrize("strategy", ["feature-extraction", "scratch"])
@pytest.mark.parametrize("name", FINE_TUNING)
def test_what_shapes_fine_tuning_is_refused_elsewhere(name: str, strategy: str) -> None:
    with pytest.raises(UsageError, match=f"`{name}` is for fine-tuning.*`strategy` is {strategy}"):
        TrainSettings(strategy=strategy, **{name: FINE_TUNING[name]})


def test_settings_for_one_strategy_leave_out_what_another_takes() -> None:
    settings = TrainSettings(**FINE_TUNING, ema=0.9)
    tuned = settings.for_strategy("fine-tune")
    assert all(getattr(tuned, name) == value for name, value in FINE_TUNING.items()) and tuned.ema == 0.9
    for strategy in ("feature-extraction", "scratch"):
        other = settings.for_strategy(strategy)
        assert not any(getattr(other, name) == value for name, value in FINE_TUNING.items()) and other.ema == 0.9
    assert TrainSettings(views=3).for_strategy("feature-extraction").views == 3
    assert TrainSettings(views=3).for_strategy("scratch").weights == "none"
    assert TrainSettings(start_size=32).for_strategy("feature-extraction").start_size is None
    assert TrainSettings(start_size=32).for_strategy("scratch").start_size == 32
    assert TrainSettings(stem="small").for_strategy("fine-tune").stem == "standard"


@pytest.mark.parametrize(
    ("text", "weights"),
    [("None", "none"), (" DEFAULT", "default"), ("./None", "./None"), ("None.pth", "None.pth"), (" a ", " a ")],
)
def test_words_for_weights_are_read_in_any_spelling(text: str, weights: str) -> None:
    assert TrainSettings(weights=text).weights == weights


@pytest.mark.parametrize(
    "value",
    [
        {"epochs": 1, "batch_size": 1, "threads": 1, "seed": 0, "limit": 1},
        {"seed": 2**63 - 1},
        {"strategy": "auto", "weights": "none"},
        {"strategy": "auto", "weights": "mine.pth"},
        {"strategy": "scratch", "weights": "default"},
        {"strategy": "scratch", "weights": "none"},
        {"strategy": "fine-tune", "weights": "mine.pth"},
        *({"strategy": strategy} for strategy in STRATEGIES),
    ],
)
def test_what_goes_together_is_accepted(value: dict[str, Any]) -> None:
    settings = TrainSettings(**value)
    assert all(getattr(settings, name) == wanted for name, wanted in value.items())


def test_the_largest_seed_is_one_torch_and_numpy_take() -> None:
    torch = pytest.importorskip("torch")
    import numpy as np

    seed = 2**63 - 1
    torch.manual_seed(TrainSettings(seed=seed).seed)
    assert np.random.default_rng([seed, 1]).random() < 1


def test_paths_may_be_texts_and_texts_paths() -> None:
    settings = TrainSettings(data=Path("photos"), out="elsewhere", weights=Path("a/mine.pth"))  # type: ignore[arg-type]
    assert (settings.data, settings.out, settings.weights) == ("photos", Path("elsewhere"), "a/mine.pth")
    several = TrainSettings(data=[Path("a"), "b"])  # type: ignore[arg-type,list-item]
    assert several.data == ("a", "b") and TrainSettings(data=("a",)).data == "a"
    with pytest.raises(UsageError, match="`epochs` '5': a whole number is needed"):
        TrainSettings(epochs="5")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["epochs", "batch_size", "data", "strategy", "track", "tasks", "out", "group_by"])
def test_none_is_refused_where_a_setting_has_no_none(name: str) -> None:
    with pytest.raises(UsageError, match=rf"`{name}` None"):
        TrainSettings(**{name: None})


@pytest.mark.parametrize("name", ["track", "tasks"])
def test_words_are_texts(name: str) -> None:
    with pytest.raises(UsageError, match=rf"`{name}` 5: a text is needed"):
        TrainSettings(**{name: [5]})
