"""What callbacks hear of a run, and a run that one of them stops."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from edge_runtime import Silence  # noqa: E402
from edge_train import BatchEnd, Callback, EpochEnd, TrainResult, TrainSettings, compare, resume, train  # noqa: E402
from edge_train.run.callbacks import ActiveRun  # noqa: E402
from edge_train.run.epochs import epoch_batches, steps_an_epoch  # noqa: E402
from edge_train.run.prepare import prepare  # noqa: E402
from edge_train.run.processes import World  # noqa: E402
from quick_training import SMALL, Ear, equal, quick_settings, weights  # noqa: E402


class Notes(Callback):
    """Writes down what it hears, and stops each run after epoch `last`."""

    def __init__(self, last: int = 0) -> None:
        self.last = last
        self.runs: list[ActiveRun] = []
        self.batches: list[BatchEnd] = []
        self.epochs: list[EpochEnd] = []
        self.ends: list[TrainResult | None] = []

    def on_start(self, run: ActiveRun) -> None:
        self.runs.append(run)

    def on_batch(self, batch: BatchEnd) -> None:
        assert len(self.ends) < len(self.runs)
        self.batches.append(batch)

    def on_epoch(self, epoch: EpochEnd) -> None:
        assert self.runs[-1].run.last.is_file()
        self.epochs.append(epoch)
        if epoch.epoch == self.last:
            self.runs[-1].stop()

    def on_end(self, result: TrainResult | None) -> None:
        self.ends.append(result)


def settings(data: Path, out: Path, **others: object) -> TrainSettings:
    return quick_settings(data, out, **{"backbone": SMALL, "epochs": 3, "dropout": 0.3, **others})


@pytest.fixture(scope="module")
def alone(few_shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Notes, TrainResult]:
    """What was heard of a run, and the run."""
    notes = Notes()
    return notes, train(settings(few_shapes, tmp_path_factory.mktemp("alone")), callbacks=[notes])


def test_they_hear_of_the_start_each_step_each_epoch_and_the_end(alone: tuple[Notes, TrainResult]) -> None:
    notes, result = alone
    (run,) = notes.runs
    assert run.run == result.run and run.card.labels == result.card.labels
    assert (run.epochs_done, run.steps, run.hyperparameters["strategy"]) == (0, 9, "scratch")
    assert [batch.step for batch in notes.batches] == list(range(1, 10))
    assert {batch.images for batch in notes.batches} == {8}
    with result.run.metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, epoch, steps in zip(rows, notes.epochs, (notes.batches[at : at + 3] for at in (0, 3, 6)), strict=True):
        assert {
            name: pytest.approx(float(text), abs=0.06) for name, text in row.items() if text and name != "epoch"
        } == (dict(epoch.figures))
        assert epoch.figures["train_loss"] == pytest.approx(sum(step.loss for step in steps) / 3)
        # The head's, which the cosine lowers.
        assert epoch.learning_rate == steps[-1].learning_rate < steps[0].learning_rate <= 1e-3
    assert [epoch.epoch for epoch in notes.epochs if epoch.best][-1] == result.summary["best_epoch"]
    assert notes.ends == [result]


@pytest.mark.parametrize("strategy", ["scratch", "feature-extraction"])
def test_the_steps_told_of_are_those_taken_where_a_last_image_joins_its_neighbours(
    strategy: str, few_shapes: Path, small_weights: Path, tmp_path: Path
) -> None:
    """24 images in batches of 23 are one of 24: batch norm has no statistics of a single image."""
    given = {"weights": str(small_weights)} if strategy == "feature-extraction" else {}
    asked = settings(
        few_shapes, tmp_path, batch_size=23, warmup_epochs=1, schedule="constant", strategy=strategy, **given
    )
    train(asked, callbacks=[notes := Notes()])
    assert notes.runs[0].steps == 3 and [batch.step for batch in notes.batches] == [1, 2, 3]
    # The rates rise in the one step of the first epoch.
    first, second, third = (batch.learning_rate for batch in notes.batches)
    assert 2 * first == second == third


def test_images_join_in_each_process_but_not_where_each_trains_the_head_alone(few_shapes: Path, tmp_path: Path) -> None:
    job = replace(prepare(settings(few_shapes, tmp_path, batch_size=21), Silence()), world=World(0, 2))
    assert (steps_an_epoch(job, 0), steps_an_epoch(job, 1)) == (1, 2) == (len(list(epoch_batches(job, 1))), 2)


class Broken(Notes):
    """Fails after the second epoch."""

    def on_epoch(self, epoch: EpochEnd) -> None:
        super().on_epoch(epoch)
        if epoch.epoch == 2:
            raise ZeroDivisionError


def test_a_run_stopped_failed_and_resumed_ends_as_one_left_alone(
    few_shapes: Path, alone: tuple[Notes, TrainResult], tmp_path: Path
) -> None:
    ear, notes = Ear(), Notes(last=1)
    stopped = train(settings(few_shapes, tmp_path), ear, callbacks=[notes])
    run = stopped.run
    assert f"stopped after epoch 1 of 3, as was asked for; go on with edge train --resume {run.path}" in ear.lines
    assert json.loads(run.summary.read_text())["epochs"] == 1 == len(notes.epochs)
    assert (run.path / "report.html").is_file() and stopped.card.metrics and notes.ends == [stopped]
    before, broken = Notes(), Broken()
    with pytest.raises(ZeroDivisionError):
        resume(run, callbacks=[before, broken])
    assert before.ends == broken.ends == [None]
    assert not run.summary.exists(), "it goes on: nothing says that it is over"
    more = Notes()
    result = resume(run, callbacks=[more])
    assert (broken.runs[0].epochs_done, more.runs[0].epochs_done) == (1, 2)
    assert [batch.step for batch in (*broken.batches, *more.batches)] == list(range(4, 10))
    _, expected = alone
    for checkpoint in ("last", "best"):
        assert equal(weights(result.run, checkpoint), weights(expected.run, checkpoint))
    assert result.summary["metrics"] == expected.summary["metrics"]


def test_each_run_of_several_is_told_of_by_itself(few_shapes: Path, small_weights: Path, tmp_path: Path) -> None:
    notes = Notes()
    given = replace(settings(few_shapes, tmp_path, epochs=1), strategy="auto", weights=str(small_weights))
    compare(given, strategies=("feature-extraction", "scratch"), callbacks=[notes])
    assert [run.card.strategy for run in notes.runs] == ["feature-extraction", "scratch"]
    # Training on embeddings takes as many steps.
    assert [batch.step for batch in notes.batches] == [1, 2, 3] * 2
    assert [epoch.epoch for epoch in notes.epochs] == [1, 1] and len(notes.ends) == 2


def test_folds_are_runs_of_their_own(few_shapes: Path, tmp_path: Path) -> None:
    notes = Notes()
    result = train(settings(few_shapes / "train", tmp_path, epochs=1, folds=2), callbacks=[notes])
    one, two, whole = notes.ends
    assert one and two and whole is result
    assert [run.run.path for run in notes.runs] == [end.run.path for end in notes.ends if end]
    assert one.run.path == result.run.path / "fold-1" and "val" in one.summary["metrics"]
    assert "val_loss" in notes.epochs[0].figures and "val_loss" not in notes.epochs[-1].figures
