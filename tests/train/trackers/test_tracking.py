"""Which trackers a run has, and one that fails or is not installed."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("torch")

from edge_runtime import EdgeError, MissingExtraError, Run, UsageError
from edge_train import (
    ActiveRun,
    Callback,
    EpochEnd,
    SweepPart,
    TrainResult,
    TrainSettings,
    load_checkpoint,
    remeasure,
    resume,
    train,
)
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


class Noting(Callback):
    """Notes the starts and ends that it hears of, by the epochs that there were and the test figures there are."""

    heard: ClassVar[list[object]] = []

    def on_start(self, run: ActiveRun) -> None:
        self.heard.append((run.run.name, run.epochs_done, run.steps))

    def on_end(self, result: TrainResult | None) -> None:
        self.heard.append(None if result is None else "test" in result.summary["metrics"])


def test_a_run_that_is_measured_again_ends_with_that(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that a sweep chose has test figures then alone; one that was stopped from outside has no other end."""
    pytest.importorskip("tensorboard")
    monkeypatch.setitem(TRACKERS, "tensorboard", Noting)
    monkeypatch.setattr(Noting, "heard", [])
    given = quick_settings(few_shapes, tmp_path, epochs=1, track="tensorboard")
    run = train(given, part=SweepPart(spares_test=True)).run
    began = Noting.heard[0]
    assert isinstance(began, tuple) and began[:2] == (run.name, 0)
    again = (run.name, 1, began[2])
    remeasure(run)
    assert Noting.heard == [began, False, again, True]
    run.best.unlink()
    with pytest.raises(EdgeError):
        remeasure(run)
    assert Noting.heard[4:] == [again, None]


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
