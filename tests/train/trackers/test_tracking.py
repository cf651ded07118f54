"""Which trackers a run has, and one that fails or is not installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from edge_runtime import MissingExtraError, Run, UsageError
from edge_train import ActiveRun, Callback, EpochEnd, TrainResult, TrainSettings, load_checkpoint, resume, train
from edge_train.trackers.tracked import draw_confusions, final_figures, keep_identity, read_identity
from edge_train.trackers.tracking import TRACKERS, GuardedTracker
from quick_training import Ear, quick_settings


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ((), ()),
        ("wandb", ("wandb",)),
        ("tensorboard, mlflow", ("tensorboard", "mlflow")),
        (["comet,wandb", "comet"], ("comet", "wandb")),
    ],
)
def test_several_are_one_text_with_commas_or_several(given: object, names: tuple[str, ...]) -> None:
    assert TrainSettings(track=given).track == names  # type: ignore[arg-type]
    assert set(names) <= TRACKERS.keys()


def test_one_that_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="`track` neptune is not known") as error:
        TrainSettings(track=("tensorboard,neptune",))
    assert error.value.hint == "choose tensorboard, mlflow, wandb, comet"


def without(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.util import find_spec

    monkeypatch.setattr("edge_runtime.extras.find_spec", lambda name: None if name == package else find_spec(name))


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboard"), ("comet", "comet_ml")])
def test_one_that_is_not_installed_is_named_before_anything_is_done(
    name: str, package: str, few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(package, monkeypatch)
    with pytest.raises(MissingExtraError, match=rf"needs {package}.*edge-vision\[{name}\]"):
        train(quick_settings(few_shapes, tmp_path / "runs", track=name))
    assert not (tmp_path / "runs").exists()


class Unreachable(Callback):
    """Raises what a server that is away makes a library raise, from its second epoch on."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_start(self, run: ActiveRun) -> None:
        self.heard.append(run.run.name)

    def on_epoch(self, epoch: EpochEnd) -> None:
        self.heard.append(str(epoch.epoch))
        if epoch.epoch == 2:
            raise ConnectionError("HTTPConnectionPool(host='mlflow', port=5000):\n Max retries exceeded")

    def on_end(self, result: TrainResult | None) -> None:
        self.heard.append(f"end: {result}")


def test_a_server_that_goes_away_costs_the_run_one_line(few_shapes: Path, tmp_path: Path) -> None:
    ear, tracker = Ear(), Unreachable()
    guarded = GuardedTracker("mlflow", tracker, ear.say)
    result = train(quick_settings(few_shapes, tmp_path, epochs=3), ear, callbacks=[guarded])
    assert tracker.heard == [result.run.name, "1", "2"]
    assert [line for line in ear.lines if "mlflow" in line] == [
        "warning: mlflow failed and hears no more of this run, which goes on: "
        "HTTPConnectionPool(host='mlflow', port=5000): Max retries exceeded"
    ]
    assert result.summary["epochs"] == load_checkpoint(result.run.last).epoch == 3
    assert (result.run.path / "report.html").is_file()


class InTheWay(Callback):
    """Puts a file where TensorBoard makes its folder."""

    def on_start(self, run: ActiveRun) -> None:
        (run.run.path / "tensorboard").touch()


def test_a_tracker_that_cannot_begin_costs_the_run_one_line_and_resumed_without_it_a_note(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    ear = Ear()
    given = quick_settings(few_shapes, tmp_path, epochs=1, track="tensorboard")
    result = train(given, ear, callbacks=[InTheWay()])
    (line,) = (line for line in ear.lines if "tensorboard" in line)
    assert line.startswith("warning: tensorboard failed") and (result.run.path / "report.html").is_file()
    assert "--track tensorboard" in result.summary["command"]
    without("tensorboard", monkeypatch)
    resume(result.run, ear)
    (note,) = (line for line in ear.lines if line.startswith("note: no longer tracked by tensorboard"))
    assert "edge-vision[tensorboard]" in note
    # What it came to is a picture and numbers, whatever shows them.
    pixels = draw_confusions(result)["confusion"]
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3 and pixels.std() > 10
    figures = final_figures(result)
    assert figures["test/accuracy"] == result.summary["metrics"]["test"]["accuracy"] and figures["best_epoch"] == 1


def test_what_the_trackers_call_a_run_is_kept_beside_each_other(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert read_identity(run, "wandb") is None
    keep_identity(run, "wandb", "a1")
    keep_identity(run, "mlflow", "b2")
    assert (read_identity(run, "wandb"), read_identity(run, "mlflow"), read_identity(run, "comet")) == (
        "a1",
        "b2",
        None,
    )
