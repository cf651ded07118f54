"""`prune`: a new run with the network of a finished one, a share of its channels less."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch

from edge_export import export
from edge_runtime import EdgeError, Run, Silence, UsageError, WeightsError
from edge_train import (
    ActiveRun,
    Callback,
    EpochEnd,
    TrainResult,
    TrainSettings,
    load_checkpoint,
    pruning_settings,
    resume,
    train,
)
from edge_train.run.prepare import prepare
from quick_training import equal, quick_settings, weights

pytest.importorskip("torch_pruning")


@pytest.fixture(scope="module")
def whole(few_shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of mobilenet_v2."""
    settings = quick_settings(few_shapes, tmp_path_factory.mktemp("whole"), backbone="mobilenet_v2", epochs=1)
    return train(settings).run


def _settings(whole: Run, out: Path, **others: object) -> TrainSettings:
    told = {"epochs": 2, "threads": 1, "precision": "fp32", "out": out, **others}
    return pruning_settings(whole.path, 0.5, **told)


@pytest.fixture(scope="module")
def pruned(whole: Run, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """What pruning half of its channels left, after two epochs."""
    before = {path.name: path.read_bytes() for path in whole.path.iterdir() if path.is_file()}
    result = train(_settings(whole, tmp_path_factory.mktemp("pruned")))
    assert {path.name: path.read_bytes() for path in whole.path.iterdir() if path.is_file()} == before
    return result


class _Stop(Callback):
    """Stops a run after its first epoch."""

    def on_start(self, run: ActiveRun) -> None:
        self.run = run

    def on_epoch(self, epoch: EpochEnd) -> None:
        if epoch.epoch == 1:
            self.run.stop()


def test_the_new_run_says_what_was_pruned_and_what_it_cost(whole: Run, pruned: TrainResult) -> None:
    summary = json.loads(pruned.run.summary.read_text(encoding="utf-8"))
    found = summary["pruning"]
    assert found["run"] == str(whole.path.resolve()) and found["share"] == 0.5
    assert found["parameters"][1] == summary["parameters"] < 0.5 * found["parameters"][0]
    assert found["gflops"][1] < 0.6 * found["gflops"][0]
    test = found["accuracy"]["test"]
    assert test["n"] == 9
    assert test["before"] == load_checkpoint(whole.best).card.metrics["test"]["accuracy"]
    assert test["tuned"] == summary["metrics"]["test"]["accuracy"]
    report = (pruned.run.path / "report.html").read_text(encoding="utf-8")
    assert "50% of the channels of" in report
    assert pruned.card.architecture == {"pruned": 0.5}
    assert f"run {whole.name} without 50%" in pruned.card.data["pretrained"]


def test_the_split_is_that_of_the_older_run_which_teaches(whole: Run, pruned: TrainResult) -> None:
    assert pruned.run.split.read_text(encoding="utf-8") == whole.split.read_text(encoding="utf-8")
    settings = pruned.run.read_config()["settings"]
    assert settings["teacher"] == str(whole.path.resolve())
    assert settings["image_size"] == 32 and settings["backbone"] == "mobilenet_v2"


def test_its_model_file_has_fewer_channels_and_answers_as_it(whole: Run, pruned: TrainResult, tmp_path: Path) -> None:
    # Export refuses a file that does not answer as its checkpoint does.
    files = [tmp_path / "whole.onnx", tmp_path / "pruned.onnx"]
    for run, file in zip((whole, pruned.run), files, strict=True):
        [exported] = export(run, out=file)
        assert exported.parity is not None
    widths = [
        sorted(tensor.dims[0] for tensor in onnx.load(file).graph.initializer if len(tensor.dims) == 4)
        for file in files
    ]
    assert len(widths[0]) == len(widths[1])
    assert sum(widths[1]) < 0.6 * sum(widths[0])
    assert files[1].stat().st_size < 0.5 * files[0].stat().st_size


def test_a_pruned_run_that_was_stopped_goes_on_as_if_it_had_not(
    whole: Run, pruned: TrainResult, tmp_path: Path
) -> None:
    stopped = train(_settings(whole, tmp_path), callbacks=[_Stop()]).run
    result = resume(stopped)
    assert equal(weights(stopped), weights(pruned.run))
    assert result.summary["pruning"] == pruned.summary["pruning"]


def test_one_that_ended_before_its_first_epoch_begins_again(whole: Run, pruned: TrainResult, tmp_path: Path) -> None:
    begun = train(_settings(whole, tmp_path)).run
    for file in (begun.best, begun.last, begun.metrics, begun.summary):
        file.unlink()
    resume(begun)
    assert equal(weights(begun), weights(pruned.run))


def test_what_is_left_is_pruned_again(pruned: TrainResult, tmp_path: Path) -> None:
    result = train(_settings(pruned.run, tmp_path, epochs=1))
    assert result.card.architecture == {"pruned": 0.75}
    assert result.summary["parameters"] < pruned.summary["parameters"]


def _tuned(pruned: Run, data: Path, out: Path, **others: object) -> TrainSettings:
    told = {"backbone": "mobilenet_v2", "strategy": "fine-tune", "weights": str(pruned.path), **others}
    return quick_settings(data, out, **told)


def test_what_is_left_is_fine_tuned_further(pruned: TrainResult, few_shapes: Path, tmp_path: Path) -> None:
    stopped = train(_tuned(pruned.run, few_shapes, tmp_path), callbacks=[_Stop()]).run
    result = resume(stopped)
    assert result.card.architecture == {"pruned": 0.5} and result.summary["parameters"] == pruned.summary["parameters"]
    assert result.card.data["pretrained"].endswith("without 50% of the channels")
    [exported] = export(result.run, out=tmp_path / "tuned.onnx")
    assert exported.parity is not None


def test_it_is_the_body_of_a_network_for_other_classes(pruned: TrainResult, few_shapes: Path, tmp_path: Path) -> None:
    two = _two_classes(few_shapes, tmp_path)
    before = weights(pruned.run, "best")
    for others in ({}, {"hidden_units": 8}):
        job = prepare(_tuned(pruned.run, two, tmp_path, **others), Silence())
        after = job.network.state_dict()
        body = [name for name in before if not name.startswith("backbone.classifier") and "batches_tracked" not in name]
        assert all(equal({name: before[name]}, {name: after[name]}) for name in body)
        assert job.network(torch.zeros(2, 32, 32, 3, dtype=torch.uint8)).shape == (2, 2)
    with pytest.raises(WeightsError, match="is a pruned mobilenet_v2, of other parts than the network to train"):
        prepare(_tuned(pruned.run, two, tmp_path, attention="se"), Silence())
    with pytest.raises(WeightsError, match="does not fit resnet18"):
        prepare(_tuned(pruned.run, two, tmp_path, backbone="resnet18"), Silence())


def test_what_does_not_go_together_is_refused(
    whole: Run, few_shapes: Path, tmp_path: Path, shufflenet_weights: Path
) -> None:
    with pytest.raises(UsageError, match="`weights` names none"):
        TrainSettings(prune=0.3)
    with pytest.raises(UsageError, match="`prune`"):
        TrainSettings(prune=0.95, weights=str(whole.path))
    with pytest.raises(UsageError, match="`prune` is for fine-tuning"):
        TrainSettings(prune=0.3, weights=str(whole.path), strategy="feature-extraction")
    with pytest.raises(UsageError, match="`folds`"):
        TrainSettings(prune=0.3, weights=str(whole.path), folds=3)
    with pytest.raises(UsageError, match=r"finished run, and .* is none"):
        pruning_settings(shufflenet_weights, 0.3)
    with pytest.raises(UsageError, match=r"has no best\.pt"):
        pruning_settings(tmp_path, 0.3)
    with pytest.raises(UsageError, match="is a mobilenet_v2, not a resnet18"):
        train(_settings(whole, tmp_path, backbone="resnet18"))
    with pytest.raises(UsageError, match="has `hidden_units` None, not 8"):
        train(_settings(whole, tmp_path, hidden_units=8))
    with pytest.raises(UsageError, match="tells circle, square, triangle apart"):
        train(replace(_settings(whole, tmp_path, teacher=None), data=str(_two_classes(few_shapes, tmp_path))))
    assert not list(tmp_path.glob("*-fine-tune-*"))


def _two_classes(shapes: Path, folder: Path) -> Path:
    made = folder / "two"
    for image in sorted(shapes.glob("*/*/*")):
        if image.parent.name != "circle":
            target = made / image.relative_to(shapes)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(image.read_bytes())
    return made


def test_memory_that_does_not_suffice_is_told_of_also_before_the_first_epoch(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where others have taken it; it is no fault of the backbone's."""

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    for place in ("run.pruned_run.measure_sensitivity", "network.pruning._require_rebuilt"):
        with monkeypatch.context() as patch:
            patch.setattr(f"edge_train.{place}", full)
            with pytest.raises(EdgeError, match="memory does not suffice for training") as told:
                train(_settings(whole, tmp_path))
        assert not isinstance(told.value, UsageError)
    assert not list(tmp_path.iterdir())
