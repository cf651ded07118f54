"""A file whose answers are its own has test figures of its own: those that it is quoted by."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from edge_data import Splits, choose_evaluation, write_split  # noqa: E402
from edge_export import ExportSettings, export  # noqa: E402
from edge_runtime import CROSS_VALIDATED, Classifier, Run, evaluate, scan  # noqa: E402
from edge_train import load_checkpoint, save_checkpoint  # noqa: E402
from quick_training import Ear  # noqa: E402


@pytest.fixture
def run(run_folder: Path, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(run_folder, tmp_path / "run")))


@pytest.mark.parametrize("asked", [{"precision": "fp16"}, {"tta": "flip"}])
def test_the_test_split_is_answered_by_the_file_itself(run: Run, asked: dict[str, Any]) -> None:
    ear = Ear()
    (done,) = export(run, settings=ExportSettings(**asked), progress=ear)
    classifier = Classifier(done.path)
    unseen = choose_evaluation(classifier.card, run, wanted="test")
    itself = evaluate(classifier, unseen.root, unseen.samples).metrics
    assert classifier.card.metrics["test"] == itself.on_card()
    assert any(f"test accuracy {itself.accuracy:.1%} (n 12)" in line for line in ear.lines)


def test_in_fp32_the_figures_stay_the_checkpoints(run: Run) -> None:
    (done,) = export(run, ("torchscript",))
    assert done.card.metrics == load_checkpoint(run.best).card.metrics


def test_a_cross_validated_file_below_fp32_is_told_on_its_test_folder(run: Run) -> None:
    best = load_checkpoint(run.best)
    held = {CROSS_VALIDATED: {"accuracy": 0.5, "n": 42, "folds": 3}, "test": {"accuracy": 0.0, "n": 12}}
    save_checkpoint(run.best, replace(best, card=replace(best.card, metrics=held)))
    found = scan(Path(run.read_config()["data_root"]), labels=best.card.labels).splits
    write_split(run.split, Splits((*found["train"], *found["val"]), (), found["test"], "pooled"), best.card.labels)
    (done,) = export(run, settings=ExportSettings(precision="fp16"))
    assert done.card.metrics[CROSS_VALIDATED]["measured_in"] == "fp32"
    figures = done.card.metrics["test"]
    assert "measured_in" not in figures and figures["accuracy"] > 0 and figures["n"] == 12


def test_test_pictures_that_are_gone_cost_their_figures_alone(run: Run, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(run.read_config()["data_root"], tmp_path / "moved"))
    shutil.rmtree(moved / "test")
    ear = Ear()
    (done,) = export(run, data=moved, settings=ExportSettings(precision="fp16"), progress=ear)
    assert done.card.metrics.keys() == {"val"}
    assert any("none of the 12 test images can be read" in line for line in ear.lines)
