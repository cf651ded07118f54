"""The file of a model that learned from all images is shown those, and is never said to be as good as on them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from edge_data import Splits, write_split  # noqa: E402
from edge_export import ExportSettings, export  # noqa: E402
from edge_runtime import CROSS_VALIDATED, Classifier, Run, UsageError, scan  # noqa: E402
from edge_train import load_checkpoint, save_checkpoint  # noqa: E402
from quick_training import Ear  # noqa: E402

FIGURES = {"accuracy": 0.5, "n": 42, "folds": 3, "accuracy_interval_95": [0.36, 0.64]}
COMPARED = {"n", "unreadable", "compared", "max_difference", "top1_agreement"}


@pytest.fixture
def run(run_folder: Path, tmp_path: Path) -> Run:
    """A run that learned from all images, by its card and its split."""
    made = Run(Path(shutil.copytree(run_folder, tmp_path / "run")))
    best = load_checkpoint(made.best)
    card = replace(best.card, metrics={CROSS_VALIDATED: FIGURES})
    save_checkpoint(made.best, replace(best, card=card))
    found = scan(Path(made.read_config()["data_root"]), labels=card.labels).splits
    write_split(made.split, Splits((*found["train"], *found["val"]), (), (), "pooled"), card.labels)
    return made


def test_its_file_carries_the_cross_validated_figure_and_no_other(run: Run) -> None:
    ear = Ear()
    (done,) = export(run, progress=ear)
    card = Classifier(done.path).card
    assert card.metrics == {CROSS_VALIDATED: FIGURES}
    assert card.parity["images"] == 42 and set(card.parity["training"]) == COMPARED
    assert card.parity["training"]["n"] == 42 and card.parity["training"]["top1_agreement"] == 1
    assert "validation" not in card.parity
    assert any("compared on training images; its accuracy is the cross-validated one" in line for line in ear.lines)
    (entry,) = json.loads((run.path / "export.json").read_text())["files"]
    assert "validation" not in entry and set(entry["training"]) == COMPARED
    assert "on 42 training images" in entry["compared"] and "the accuracy is cross-validated" in entry["compared"]


def test_below_fp32_the_figure_says_which_networks_it_is_of(run: Run) -> None:
    (done,) = export(run, settings=ExportSettings(precision="fp16"))
    card = Classifier(done.path).card
    assert card.precision == "fp16" and card.metrics == {CROSS_VALIDATED: {**FIGURES, "measured_in": "fp32"}}
    assert "validation" not in card.parity and card.quantization.get("accuracy_measured_on", "training images")


def test_nothing_is_chosen_or_averaged_on_what_it_learned_from(run: Run, run_folder: Path) -> None:
    with pytest.raises(UsageError, match="none to choose a threshold on"):
        export(run, settings=ExportSettings(positive="circle"))
    with pytest.raises(UsageError, match="learned from all its images, so no ensemble"):
        export((run, Run(run_folder)))
