"""Epochs: interrupted and resumed, stopped early, balanced, and validated with statistics that are not stale."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_data.sets.image_store import ImageStore  # noqa: E402
from edge_runtime import (  # noqa: E402
    CheckpointError,
    DataError,
    EdgeError,
    Run,
    Sample,
    UsageError,
)
from edge_train import TrainSettings, load_checkpoint, resume, save_checkpoint, train  # noqa: E402
from edge_train.run.batches import _order  # noqa: E402
from quick_training import QUICK, SMALL, Ear, StopAt, equal, flags, quick_settings, weights  # noqa: E402
from warm_edge import WarmEdge  # noqa: E402


@pytest.fixture(scope="module")
def data(few_shapes: Path) -> Path:
    return few_shapes


def settings(data: Path, out: Path, **others: object) -> TrainSettings:
    return quick_settings(data, out, **{"backbone": SMALL, "epochs": 4, "dropout": 0.3, "augment": "light", **others})


# An epoch of it takes long enough to be killed in.
SLOWER = {"backbone": QUICK["backbone"]}


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nobody interrupted."""
    return train(settings(data, tmp_path_factory.mktemp("whole"))).run


@pytest.mark.parametrize("where", ["epoch 2/4", "epoch 2/4  train", "epoch 4/4 ", "measuring val", "measuring test"])
def test_a_run_interrupted_and_resumed_ends_as_one_left_alone(
    data: Path, whole: Run, tmp_path: Path, where: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(settings(data, tmp_path), StopAt(where))
    (path,) = tmp_path.iterdir()
    result = resume(Run(path))
    assert equal(weights(result.run), weights(whole)) and equal(weights(result.run, "best"), weights(whole, "best"))
    stay = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
    for one, two in zip(
        *(map(str.split, run.metrics.read_text().splitlines()) for run in (result.run, whole)), strict=True
    ):
        assert one[0].split(",")[: len(stay)] == two[0].split(",")[: len(stay)]
    assert result.summary["seconds"] > result.summary["training_seconds"]
    summary, expected = (json.loads(run.summary.read_text()) for run in (result.run, whole))
    assert summary["metrics"] == expected["metrics"] and summary["best_epoch"] == expected["best_epoch"]


WITH_STATE: dict[str, dict[str, Any]] = {
    "an average": {"ema": 0.9, "optimizer": "sgd", "schedule": "plateau"},
    "mixed images": {"mixup": 0.4, "cutmix": 1.0, "label_smoothing": 0.1},
    "unfreezing": {"strategy": "fine-tune", "unfreeze_every": 1, "head_epochs": 1, "optimizer": "adamw", "ema": 0.9},
    "a frozen start": {"strategy": "fine-tune", "freeze_until": "stage4", "batch_norm": "train", "patience": 3},
    "embeddings": {"strategy": "feature-extraction", "augment": "standard", "ema": 0.8, "hidden_units": 8},
    "a teacher": {"teacher_weight": 0.7},
    "a teacher of embeddings": {"strategy": "feature-extraction", "class_balance": "sampler"},
}


@pytest.fixture
def with_state(data: Path, whole: Run, small_weights: Path) -> Callable[..., TrainSettings]:
    """The settings of that name in WITH_STATE, with the files they need."""

    def make(name: str, out: Path, **others: object) -> TrainSettings:
        given = {"epochs": 3, **WITH_STATE[name], **others}
        if given.get("strategy") is not None:
            given.setdefault("weights", str(small_weights))
        if "teacher" in name:
            given["teacher"] = str(whole.path)
        return settings(data, out, **given)

    return make


@pytest.mark.parametrize("name", WITH_STATE)
def test_whatever_a_run_carries_from_epoch_to_epoch_is_resumed(
    with_state: Callable[..., TrainSettings], tmp_path: Path, name: str
) -> None:
    left_alone = train(with_state(name, tmp_path / "alone")).run
    with pytest.raises(KeyboardInterrupt):
        train(with_state(name, tmp_path / "cut"), StopAt("epoch 3/3"))
    (path,) = (tmp_path / "cut").iterdir()
    result = resume(Run(path))
    for checkpoint in ("last", "best"):
        assert equal(weights(result.run, checkpoint), weights(left_alone, checkpoint))
    one, two = (load_checkpoint(run.last).training for run in (result.run, left_alone))
    assert one.keys() == two.keys() and equal(one.get("average", {}), two.get("average", {}))
    assert result.summary["metrics"] == json.loads(left_alone.summary.read_text())["metrics"]


def test_a_run_resumed_where_memory_is_scarcer_sees_as_many_views(
    with_state: Callable[..., TrainSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_alone = train(with_state("embeddings", tmp_path / "alone")).run
    with pytest.raises(KeyboardInterrupt):
        train(with_state("embeddings", tmp_path / "cut"), StopAt("epoch 2/3"))
    monkeypatch.setattr(ImageStore, "bound_bytes", property(lambda _: 0))
    (path,) = (tmp_path / "cut").iterdir()
    assert equal(weights(resume(Run(path)).run), weights(left_alone))


@pytest.mark.parametrize("others", [{}, {"strategy": "fine-tune", "head_epochs": 1}])
def test_a_run_that_ended_in_its_first_epoch_begins_again(
    data: Path, small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: dict[str, Any]
) -> None:
    # By relative names: a run is resumed from another folder, too.
    monkeypatch.chdir(small_weights.parent)
    given = {**others, "weights": small_weights.name} if others else {}
    left_alone = train(settings(data, tmp_path / "alone", **given)).run
    with pytest.raises(KeyboardInterrupt):
        train(settings(data, tmp_path / "cut", **given), StopAt("epoch 1/4"))
    monkeypatch.chdir(tmp_path)
    (path,) = (tmp_path / "cut").iterdir()
    assert not Run(path).last.exists()
    created = Run(path).read_config()["created"]
    # Killed between its two first checkpoints, it would have left this one.
    Run(path).best.write_bytes(b"of the first epoch")
    ear = Ear()
    result = resume(Run(path), ear)
    assert any(line.startswith(f"beginning {path} again") for line in ear.lines)
    for name in ("last", "best"):
        assert equal(weights(result.run, name), weights(left_alone, name))
    assert result.summary["command"] == json.loads(left_alone.summary.read_text())["command"]
    assert result.card.created == created and [each.name for each in (tmp_path / "cut").iterdir()] == [path.name]
    config = json.loads(Run(path).config.read_text())
    config["card"]["data"]["fingerprint"] = "of other images"
    shutil.rmtree(path)
    path.mkdir()
    Run(path).config.write_text(json.dumps(config))
    with pytest.raises(DataError, match="have changed"):
        resume(Run(path))
    del config["settings"]["out"]
    Run(path).config.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"config\.json lacks"):
        resume(Run(path))


def kill_and_resume(warm: WarmEdge, words: list[str], out: Path, after_s: float) -> Run:
    """Start `edge train`, kill it so long after its first checkpoint, and resume what it left."""
    with Path(os.devnull).open("w") as nowhere:
        running = warm.start(["train", *words, "--out", str(out)], Path.cwd(), nowhere.fileno(), nowhere.fileno())
    deadline = time.monotonic() + 120
    while not list(out.glob("*/last.pt")) and time.monotonic() < deadline:
        time.sleep(0.002)
    # The moments include those in which a checkpoint is being written.
    time.sleep(after_s)
    running.send_signal(signal.SIGKILL)
    running.wait()
    (path,) = out.iterdir()
    return resume(Run(path)).run


def moments() -> np.random.Generator:
    """Moments that are others every time; those of a test that failed come again by the seed that it said."""
    seed = int(os.environ.get("EDGE_TEST_MOMENTS") or int.from_bytes(os.urandom(4)))
    sys.stdout.write(f"killed at the moments of EDGE_TEST_MOMENTS={seed}\n")
    return np.random.default_rng(seed)


def test_the_moments_of_a_kill_can_be_had_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("EDGE_TEST_MOMENTS", raising=False)
    first = moments().uniform(0, 0.6)
    monkeypatch.setenv(*capsys.readouterr().out.split()[-1].split("="))
    assert moments().uniform(0, 0.6) == first


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed_it_ends_as_one_left_alone(warm: WarmEdge, data: Path, tmp_path: Path) -> None:
    given = settings(data, tmp_path / "alone", **SLOWER)
    left_alone = train(given).run
    words = flags(**{name: getattr(given, name) for name in TOLD})
    draw = moments()
    for moment in range(3):
        run = kill_and_resume(warm, words, tmp_path / f"{moment}", draw.uniform(0, 0.6))
        assert equal(weights(run), weights(left_alone)) and equal(weights(run, "best"), weights(left_alone, "best"))


@pytest.mark.slow
def test_killed_while_it_averages_and_unfreezes_it_ends_as_one_left_alone(
    warm: WarmEdge, with_state: Callable[..., TrainSettings], shufflenet_weights: Path, tmp_path: Path
) -> None:
    slower = {**SLOWER, "weights": str(shufflenet_weights)}
    given = with_state("unfreezing", tmp_path / "alone", epochs=4, mixup=0.3, **slower)
    left_alone = train(given).run
    more = ("weights", "unfreeze_every", "head_epochs", "optimizer", "ema", "mixup")
    words = flags(**{name: getattr(given, name) for name in (*TOLD, *more)})
    draw = moments()
    run = kill_and_resume(warm, words, tmp_path / "killed", draw.uniform(0, 0.6))
    assert equal(weights(run), weights(left_alone)) and equal(weights(run, "best"), weights(left_alone, "best"))


TOLD = ("data", "backbone", "strategy", "image_size", "batch_size", "threads", "precision", "epochs", "dropout")


def test_a_run_that_cannot_be_resumed_says_why(data: Path, whole: Run, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(whole.path, tmp_path / "copy")))
    run.last.write_bytes(run.last.read_bytes()[:500])
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        resume(run)
    run.last.unlink()
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        resume(run)
    moved = Path(shutil.copytree(data, tmp_path / "data"))
    run = train(settings(moved, tmp_path / "runs", epochs=1)).run
    next(moved.rglob("*.png")).unlink()
    with pytest.raises(DataError, match="have changed"):
        resume(run)


def test_a_finished_run_resumed_stays_as_it_is(whole: Run, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(whole.path, tmp_path / "copy")))
    # As a kill between last.pt and metrics.csv leaves it.
    kept = run.metrics.read_text()
    run.metrics.unlink()
    run.summary.write_text(json.dumps({**json.loads(run.summary.read_text()), "seconds": 5000.0}))
    found = resume(run)
    assert equal(weights(run, "best"), weights(whole, "best")) and equal(weights(run), weights(whole))
    assert run.metrics.read_text() == kept
    assert 5000 < found.summary["seconds"] < 5600


def test_runs_are_not_put_among_the_images(data: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(data, tmp_path / "data"))
    with pytest.raises(UsageError, match="inside the data folder"):
        train(settings(folder, folder / "runs"))
    assert not (folder / "runs").exists()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        train(settings(folder, tmp_path / "file"))


def test_patience_ends_a_run_that_gets_no_better(data: Path, tmp_path: Path) -> None:
    result = train(settings(data, tmp_path, epochs=30, patience=2, lr_scale=1e-6, **SLOWER))
    assert result.summary["epochs"] == result.summary["best_epoch"] + 2 < 30


@pytest.mark.parametrize(("best_by", "column", "best"), [("loss", "val_loss", min), ("auroc", "val_auroc", max)])
def test_the_best_epoch_is_that_of_the_figure_asked_for(
    data: Path, tmp_path: Path, best_by: str, column: str, best: Callable[..., float]
) -> None:
    result = train(settings(data, tmp_path, best_by=best_by, lr_scale=3.0))
    with result.run.metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    values = [float(row[column]) for row in rows]
    assert values[result.summary["best_epoch"] - 1] == best(values) and result.summary["best_by"] == best_by
    assert all(bool(row["val_auroc"]) is (best_by == "auroc") and row["val_balanced_accuracy"] for row in rows)
    assert f"--best-by {best_by}" in result.summary["command"]
    assert load_checkpoint(result.run.best).epoch == result.summary["best_epoch"]


@pytest.fixture(scope="module")
def untested(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures without a test split, and one class rarer than 1:3."""
    folder = Path(shutil.copytree(data, tmp_path_factory.mktemp("untested") / "shapes"))
    shutil.rmtree(folder / "test")
    for picture in sorted((folder / "train" / "square").iterdir())[2:]:
        picture.unlink()
    return folder


def test_without_a_test_split_it_says_how_lucky_the_best_epoch_is_also_when_resumed(
    data: Path, untested: Path, tmp_path: Path
) -> None:
    ear = Ear()
    alone = train(settings(untested, tmp_path / "alone"), ear)
    assert any("highest balanced accuracy: the commonest class has 8 training" in line for line in ear.lines)
    assert any("  val loss" in line and "balanced accuracy" in line for line in ear.lines)
    assert alone.summary["best_by"] == "balanced-accuracy" and alone.summary["headline"] == "val"
    luck = alone.summary["optimism"]
    assert (luck["epochs"], luck["images"]) == (4, 9) and 0 <= luck["points"] < 60
    assert luck["text"].startswith("the accuracy of the best of 4 epochs on the 9 images that chose it is ")
    assert luck["text"][1:] in (alone.run.path / "report.html").read_text(encoding="utf-8")
    assert alone.card.metrics["val"]["optimism_points"] == luck["points"]
    with pytest.raises(KeyboardInterrupt):
        train(settings(untested, tmp_path / "cut"), StopAt("epoch 4/4"))
    (path,) = (tmp_path / "cut").iterdir()
    assert resume(Run(path)).summary["optimism"] == luck
    # With a test split, or one epoch, there is nothing of the kind to say.
    assert "optimism" not in train(settings(untested, tmp_path / "one", epochs=1)).summary
    patient = train(settings(untested, tmp_path / "patient", epochs=2, group_by=r"\.png")).summary
    assert patient["optimism"]["points"] is None and "not known: validation is one group" in patient["optimism"]["text"]
    assert patient["metrics"]["val"]["calibration_folds"] == 0
    tested = train(settings(data, tmp_path / "tested", epochs=2))
    assert "optimism" not in tested.summary and "optimism_points" not in tested.card.metrics["val"]


def test_a_run_of_an_older_edge_goes_on_by_accuracy(untested: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(settings(untested, tmp_path), StopAt("epoch 4/4"))
    (path,) = tmp_path.iterdir()
    run, kept = Run(path), load_checkpoint(path / "last.pt")
    old = {name: value for name, value in kept.training.items() if name not in ("answers", "best_by", "best_epoch")}
    rows = [{k: v for k, v in row.items() if k not in ("val_balanced_accuracy", "val_auroc")} for row in old["history"]]
    best = max(rows, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
    old |= {"history": rows, "best": [best["epoch"], best["val_accuracy"], best["val_loss"]]}
    save_checkpoint(run.last, replace(kept, training=old))
    config = run.read_config()
    del config["settings"]["best_by"]
    run.config.write_text(json.dumps(config))
    result = resume(run)
    assert result.summary["best_by"] == "accuracy" and "optimism" not in result.summary
    with run.metrics.open(newline="") as file:
        assert [bool(row["val_balanced_accuracy"]) for row in csv.DictReader(file)] == [False, False, False, True]


@pytest.mark.parametrize(
    "others",
    [
        {"optimizer": "sgd", "schedule": "one-cycle", "warmup_epochs": 0.5},
        {"optimizer": "adamw", "schedule": "plateau", "weight_decay": 0.1, "label_smoothing": 0.1, "clip_norm": 1.0},
        {"class_balance": "weights", "schedule": "step"},
        {"class_balance": "sampler", "schedule": "constant"},
    ],
)
def test_every_setting_trains_and_changes_the_outcome(
    data: Path, whole: Run, tmp_path: Path, others: dict[str, object]
) -> None:
    result = train(settings(data, tmp_path, **others))
    assert not equal(weights(result.run), weights(whole))
    assert all(torch.isfinite(value).all() for value in weights(result.run).values())


def test_the_sampler_draws_rare_classes_as_often_as_common_ones() -> None:
    samples = [Sample(f"{i}", 0 if i < 90 else 1) for i in range(100)]
    drawn = np.concatenate([_order(samples, np.random.default_rng(i), balanced=True) for i in range(50)])
    assert 0.45 < np.mean(drawn >= 90) < 0.55
    assert sorted(_order(samples, np.random.default_rng(0), balanced=False)) == list(range(100))


def test_a_network_that_answers_no_numbers_is_not_kept(data: Path, tmp_path: Path) -> None:
    given = {"backbone": "squeezenet1_1", "epochs": 1, "batch_size": 24, "lr_scale": 1e6, "optimizer": "sgd"}
    with pytest.raises(EdgeError, match=r"epoch 1: the validation loss became (nan|inf)") as caught:
        train(settings(data, tmp_path, **given))
    assert caught.value.hint == "try a smaller `lr_scale`", "there is no epoch before it"
    assert not list(tmp_path.rglob("*.pt"))
