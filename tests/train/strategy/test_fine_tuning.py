"""Fine-tuning as it is asked for: whole runs with its flags, and what they leave untouched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edge_runtime import (  # noqa: E402
    Run,
    Silence,
    UsageError,
)
from edge_train import ActiveRun, Callback, TrainSettings, find_backbone, load_checkpoint, resume, train  # noqa: E402
from edge_train.run.prepare import prepare  # noqa: E402
from quick_training import SMALL, Ear, changed, quick_settings, weights  # noqa: E402

SHUFFLENET = find_backbone("shufflenet_v2_x0_5")

Settings = Callable[..., TrainSettings]


@pytest.fixture
def tuned(few_shapes: Path, shufflenet_weights: Path, tmp_path: Path) -> Settings:
    def make(**others: Any) -> TrainSettings:
        given = {"strategy": "fine-tune", "weights": str(shufflenet_weights), **others}
        return quick_settings(few_shapes, tmp_path / "runs", **given)

    return make


def moved(settings: TrainSettings, name: str = "last") -> set[str]:
    """The names of the tensors, within the backbone, that a run changes."""
    before = dict(prepare(settings, Silence()).network.state_dict())
    return {key.removeprefix("backbone.") for key in changed(before, weights(train(settings).run, name))}


def stages(keys: set[str]) -> set[str]:
    return {SHUFFLENET.stage_of(key) for key in keys}


@pytest.mark.parametrize(
    "others",
    [
        {"optimizer": "adamw", "weight_decay": 0.1},
        {"optimizer": "sgd", "weight_decay": 0.1, "ema": 0.9},
        {"lr_decay_per_stage": 0.5, "schedule": "one-cycle", "clip_norm": 1.0},
        {"mixup": 0.4, "class_balance": "sampler"},
    ],
)
def test_a_run_leaves_the_stages_before_freeze_until_bit_identical(tuned: Settings, others: dict[str, Any]) -> None:
    settings = tuned(freeze_until="stage4", **others)
    for name in ("last", "best"):
        assert stages(moved(settings, name)) == {"stage4", "head"}


def test_a_run_thaws_stage_by_stage(tuned: Settings) -> None:
    for epochs, expected in ((2, {"head", "stage4"}), (3, {"head", "stage4", "stage3"})):
        assert stages(moved(tuned(epochs=epochs, unfreeze_every=1))) == expected


def test_the_head_learns_alone_first(tuned: Settings) -> None:
    ear, settings = Ear(), tuned(epochs=3, head_epochs=2, ema=0.5)
    before = {key: value.clone() for key, value in prepare(settings, Silence()).network.state_dict().items()}
    after_each: list[set[str]] = []
    say = ear.say

    def look(text: str) -> None:
        say(text)
        if text.startswith("epoch "):
            run = Run(next(settings.out.iterdir()))
            found = changed(before, dict(load_checkpoint(run.last).network))
            after_each.append(stages({key.removeprefix("backbone.") for key in found}))

    ear.say = look  # type: ignore[method-assign]
    train(settings, ear)
    everything = {"stem", "stage2", "stage3", "stage4", "head"}
    assert after_each == [{"head"}, {"head"}, everything]


def test_frozen_batch_norm_keeps_its_statistics_through_a_run(tuned: Settings) -> None:
    found = moved(tuned(optimizer="sgd", ema=0.9), "best")
    assert not [key for key in found if "running" in key or "num_batches" in key]
    assert {"conv1.0.weight", "conv1.1.weight", "conv1.1.bias", "stage2.0.branch1.0.weight"} <= found
    assert [key for key in moved(tuned(batch_norm="train")) if "running" in key]


def test_every_flag_changes_the_outcome(tuned: Settings, small_weights: Path) -> None:
    small = {"backbone": SMALL, "weights": str(small_weights)}
    plain = weights(train(tuned(**small)).run)
    for others in (
        {"lr_decay_per_stage": 0.5},
        {"freeze_until": "stage3"},
        {"unfreeze_every": 1},
        {"head_epochs": 1},
        {"batch_norm": "train"},
    ):
        assert changed(plain, weights(train(tuned(**small, **others)).run)), others


def test_the_parameters_trained_are_those_that_ever_learn(tuned: Settings) -> None:
    ear = Ear()
    summary = train(tuned(freeze_until="head", epochs=1), ear).summary
    assert summary["parameters_trained"] == 1024 * 3 + 3
    assert any(line.startswith("training 3,075 of ") for line in ear.lines)
    assert not any("never thaw" in line for line in ear.lines)
    everything = train(tuned(epochs=1)).summary
    assert everything["parameters_trained"] == everything["parameters"]


def test_stages_that_no_epoch_thaws_are_named_and_not_counted(tuned: Settings) -> None:
    ear, settings = Ear(), tuned(epochs=2, unfreeze_every=1)
    network = prepare(settings, Silence()).network.backbone
    learn = [own.numel() for name, own in network.named_parameters() if SHUFFLENET.stage_of(name) in {"head", "stage4"}]
    assert train(settings, ear).summary["parameters_trained"] == sum(learn)
    assert "note: stem, stage2, stage3 never thaw in 2 epochs" in ear.lines


@pytest.mark.parametrize(("thawing", "first"), [({"head_epochs": 3}, 4), ({"unfreeze_every": 1}, 5)])
def test_patience_waits_until_all_has_thawed(
    few_shapes: Path, small_weights: Path, tmp_path: Path, thawing: dict[str, int], first: int
) -> None:
    given = {"strategy": "fine-tune", "weights": str(small_weights), "backbone": SMALL, "epochs": 9, "patience": 2}
    # Nothing is learned, so that no epoch is better than the first.
    still = {"optimizer": "sgd", "lr_scale": 1e-6, "clip_norm": 1e-6}
    settings = quick_settings(few_shapes, tmp_path, **still, **given, **thawing)
    summary = train(settings, ear := Ear()).summary
    assert (summary["best_epoch"], summary["epochs"]) == (1, first + 1)
    assert "stopped early: no better epoch in 2" in ear.lines
    assert summary["parameters_trained"] == summary["parameters"]


def test_a_run_that_is_stopped_before_it_thaws_has_trained_the_head(
    few_shapes: Path, small_weights: Path, tmp_path: Path
) -> None:
    class Stop(Callback):
        def on_start(self, run: ActiveRun) -> None:
            run.stop()

    given = {"strategy": "fine-tune", "weights": str(small_weights), "backbone": SMALL, "epochs": 3, "head_epochs": 1}
    stopped = train(quick_settings(few_shapes, tmp_path, **given), callbacks=(Stop(),))
    assert stopped.summary["epochs"] == 1 and stopped.summary["parameters_trained"] == 32 * 3 + 3
    resumed = resume(stopped.run).summary
    assert resumed["epochs"] == 3 and resumed["parameters_trained"] == resumed["parameters"]


def test_an_unknown_stage_is_refused_before_anything_is_written(tuned: Settings) -> None:
    settings = tuned(freeze_until="layer4")
    with pytest.raises(UsageError, match="shufflenet_v2_x0_5 has no such stage") as caught:
        train(settings)
    assert caught.value.hint == "choose stem, stage2, stage3, stage4, head"
    assert not list(settings.out.glob("*"))
