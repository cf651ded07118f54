"""The threshold of a two-class run: it travels into every file, or is chosen anew for answers of its own."""

from __future__ import annotations

import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")


from edge_data import choose_evaluation
from edge_export import export, read_torchscript
from edge_export.export_job import _asked_threshold
from edge_export.settings import ExportSettings
from edge_runtime import (
    Classifier,
    ModelCard,
    Preprocessing,
    Run,
    UsageError,
)
from edge_train import load_checkpoint, save_checkpoint, train
from quick_training import Ear, quick_settings


@pytest.fixture(scope="module")
def decided(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of circles and squares with a threshold for squares."""
    folder = Path(shutil.copytree(shapes, tmp_path_factory.mktemp("two") / "shapes"))
    for split in ("train", "val", "test"):
        shutil.rmtree(folder / split / "triangle")
    others = {"backbone": "squeezenet1_1", "image_size": 48, "positive": "square", "min_sensitivity": 0.7}
    return train(quick_settings(folder, folder.parent / "runs", **others)).run


def scripted(runs: Run | list[Run], path: Path, **asked: Any) -> ModelCard:
    """The card of a TorchScript file of the runs, which is the quickest to write."""
    (done,) = export(runs, ("torchscript",), out=path, settings=ExportSettings(**asked))
    assert read_torchscript(path)[1] == done.card
    return done.card


def test_the_threshold_travels_and_is_chosen_anew_for_answers_of_its_own(decided: Run, tmp_path: Path) -> None:
    trained = load_checkpoint(decided.best).card
    plain = scripted(decided, tmp_path / "plain.pt")
    assert plain.operating_point == trained.operating_point is not None
    assert plain.metrics["test"]["at_threshold"] == trained.metrics["test"]["at_threshold"]
    for asked, positive, target in (
        ({"min_sensitivity": 1.0}, "square", 1.0),
        ({"positive": "circle"}, "circle", 0.7),
    ):
        card = scripted(decided, tmp_path / f"{positive}.pt", **asked)
        point = card.operating_point
        assert point is not None and (point.positive, point.min_sensitivity) == (positive, target)
        assert card.metrics["val"]["at_threshold"]["sensitivity"] >= target
        shown = card.metrics["test"].pop("at_threshold")
        itself = {name: value for name, value in trained.metrics["test"].items() if name != "at_threshold"}
        assert card.metrics["test"] == itself, "the answers are the checkpoint's"
        assert shown["found"] + shown["missed"] == 4 and shown["alarmed"] + shown["left"] == 4
    ear, asked = Ear(), ExportSettings(precision="int8", max_drop_points=100, calibration_images=8)
    (small,) = export(decided, out=tmp_path / "small.onnx", settings=asked, progress=ear)
    assert any("threshold: square from a probability of" in line for line in ear.lines)
    assert any(line.startswith("int8 at its threshold: accuracy") for line in ear.lines)
    classifier = Classifier(small.path, threads=1)
    exact, shown = classifier.card.quantization["arithmetic"]["exact"], classifier.card.metrics["val"]["at_threshold"]
    assert exact["accuracy"] == (shown["found"] + shown["left"]) / exact["n"]
    found = choose_evaluation(classifier.card, decided, wanted="val")
    squares = [sample for sample in found.samples if classifier.labels[sample.label] == "square"]
    share = sum(classifier.predict(found.root / each.path).label == "square" for each in squares) / len(squares)
    assert share >= 0.7 and share == classifier.card.metrics["val"]["at_threshold"]["sensitivity"]


def test_below_fp32_the_threshold_of_folds_is_carried_over_and_said_to_be(decided: Run, tmp_path: Path) -> None:
    data = decided.path.parents[1] / "shapes"
    others = {"backbone": "squeezenet1_1", "image_size": 48, "positive": "square", "folds": 2, "epochs": 1}
    run = train(quick_settings(data, tmp_path / "runs", **others)).run
    trained, ear = load_checkpoint(run.best).card.operating_point, Ear()
    (done,) = export(run, out=tmp_path / "half.onnx", settings=ExportSettings(precision="fp16"), progress=ear)
    card = Classifier(done.path, threads=1).card
    assert trained is not None and card.operating_point is not None
    assert card.quantization["fp32_threshold"] == trained.threshold
    assert replace(card.operating_point, threshold=trained.threshold) == trained
    assert any(line.startswith("note: it was chosen in fp32, as ") for line in ear.lines)


def test_a_threshold_for_an_ensemble_or_an_older_run_is_chosen_and_what_has_none_is_refused(
    decided: Run, original: Path, tmp_path: Path
) -> None:
    twin = Run(Path(shutil.copytree(decided.path, tmp_path / "twin")))
    best = load_checkpoint(twin.best)
    trained = best.card.operating_point
    assert trained is not None
    save_checkpoint(twin.best, replace(best, card=replace(best.card, operating_point=replace(trained, threshold=0.01))))
    point = scripted([decided, twin], tmp_path / "both.pt").operating_point
    assert point is not None and point.threshold == pytest.approx(trained.threshold, abs=1e-3)
    save_checkpoint(twin.best, replace(best, card=replace(best.card, operating_point=None)))
    ear = Ear()
    (mixed,) = export([decided, twin], ("torchscript",), out=tmp_path / "mixed.pt", progress=ear)
    assert mixed.card.operating_point is None
    assert any("thresholds differ (square at 70.0%, none), so the file has none" in line for line in ear.lines)
    late = scripted(twin, tmp_path / "late.pt", positive="square").operating_point
    assert late is not None and late.min_sensitivity == 0.95
    for run, asked, said in (
        (twin, {"min_sensitivity": 0.9}, "`min_sensitivity` is that of the class in `positive`"),
        (twin, {"positive": "triangle"}, "not one of the classes"),
        (Run(original), {"positive": "circle"}, "for two classes, but there are 3"),
    ):
        with pytest.raises(UsageError, match=said):
            scripted(run, tmp_path / "never.pt", **asked)
    with pytest.raises(UsageError, match="`min_sensitivity` 2"):
        ExportSettings(positive="circle", min_sensitivity=2)
    assert not (tmp_path / "never.pt").exists()


def test_a_class_is_taken_in_whatever_form_of_unicode_it_is_typed() -> None:
    card = ModelCard(
        labels=("Bär", "x"), preprocessing=Preprocessing(32, 32, 32, "bilinear"), backbone="b", strategy="s"
    )
    asked = _asked_threshold(card, ExportSettings(positive=unicodedata.normalize("NFD", "Bär")))
    assert asked.operating_point is not None and asked.operating_point.positive == "Bär"
