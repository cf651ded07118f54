"""What may be quoted of an ensemble: test images that all members have, or what the choice on validation flatters."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import numpy as np

from edge_export import export
from edge_export.proof.ensemble_figures import caution
from edge_export.settings import ExportSettings
from edge_runtime import Classifier, Run, headline
from edge_train import Checkpoint, load_checkpoint, save_checkpoint
from quick_training import Ear


@pytest.fixture(scope="module")
def originals(make_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("figures") / "runs"
    for seed, name in enumerate(("first", "second")):
        make_run(runs / name, "squeezenet1_1", seed=seed)
    return runs


@pytest.fixture
def runs(originals: Path, tmp_path: Path) -> list[Run]:
    copied = Path(shutil.copytree(originals, tmp_path / "runs"))
    return [Run(copied / "first"), Run(copied / "second")]


def without_test(run: Run, optimism_points: float | None) -> None:
    """The run as one whose data had no test split, with what its training said of the choice of the epoch."""
    with run.split.open(newline="") as file:
        rows = [row for row in csv.reader(file) if row[0] != "test"]
    with run.split.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    checkpoint = load_checkpoint(run.best)
    figures = dict(checkpoint.card.metrics["val"])
    if optimism_points is not None:
        figures |= {"optimism_points": optimism_points, "calibration_folds": 5}
    card = replace(checkpoint.card, metrics={"val": figures})
    save_checkpoint(run.best, Checkpoint(card, checkpoint.network, checkpoint.epoch, {}))


def test_test_images_of_all_members_are_the_headline(runs: list[Run]) -> None:
    ear = Ear()
    (done,) = export(runs, progress=ear)
    card = Classifier(done.path).card
    assert headline(card.metrics) == "test" and caution(card) == ""
    assert any(line.startswith("test accuracy ") and "(n 12)" in line for line in ear.lines)
    assert "calibration_folds" not in card.metrics["test"] and "members_optimism_points" not in card.metrics["val"]


def test_without_them_validation_is_cross_fitted_and_what_the_choice_flatters_is_said(runs: list[Run]) -> None:
    for run, points in zip(runs, (1.0, 3.0), strict=True):
        without_test(run, points)
    ear = Ear()
    (done,) = export(runs, progress=ear)
    figures, itself = Classifier(done.path).card.metrics["val"], done.validation.whole
    assert figures["accuracy"] == itself.accuracy
    assert (figures["calibration_folds"], figures["members_optimism_points"]) == (5, 2.0)
    # What stands in the file was fitted on these very images.
    assert figures["log_loss"] != itself.log_loss
    (note,) = (line for line in ear.lines if "were chosen on these validation images" in line)
    assert "of the 2 members" in note and "about 1.0 to 3.0 points too good" in note


def test_test_pictures_that_are_gone_cost_their_figures_alone(runs: list[Run], tmp_path: Path) -> None:
    moved = Path(shutil.copytree(runs[0].read_config()["data_root"], tmp_path / "moved"))
    (first, *others) = sorted((moved / "test").rglob("*.png"))
    first.unlink()
    ear = Ear()
    (done,) = export(runs, data=moved, progress=ear)
    assert done.card.metrics["test"]["n"] == len(others)
    assert any("1 test images can no longer be read" in line for line in ear.lines)
    shutil.rmtree(moved / "test")
    (done,) = export(runs, data=moved, progress=ear)
    assert done.card.metrics.keys() == {"val"} and Classifier(done.path).card.members
    assert any("none of the 12 test images can be read" in line for line in ear.lines)
    assert any("were chosen on these validation images" in line for line in ear.lines)


def test_each_member_is_judged_at_temperatures_of_the_other_parts(runs: list[Run]) -> None:
    for run in runs:
        without_test(run, None)
    (done,) = export(runs)
    found = done.validation.found
    assert found is not None
    from edge_train import SplitAnswers

    parts = []
    for run in runs:
        (alone,) = export(run)
        rows = alone.validation.found
        assert rows is not None
        parts.append(SplitAnswers(rows.samples, np.log(rows.probabilities), rows.truth).cross_fitted()[0])
    mean = np.mean(parts, axis=0)
    picked = mean[np.arange(len(found.truth)), found.truth]
    assert done.card.metrics["val"]["log_loss"] == pytest.approx(-np.log(picked).mean(), rel=1e-4)
    assert "by how much is not known" in caution(done.card)


def test_views_of_an_ensemble_are_judged_alike(runs: list[Run]) -> None:
    (done,) = export(runs, settings=ExportSettings(tta="flip"))
    assert done.card.metrics["val"]["calibration_folds"] == 5 and done.card.metrics["test"]["n"] == 12
