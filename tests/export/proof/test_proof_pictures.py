"""A run that was imported without images: what its file is proven on, and what cannot be had for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from edge_data import draw_shapes
from edge_export import ExportSettings, export
from edge_runtime import Classifier, Run, UsageError
from edge_train import ImportSettings, build, find_backbone, import_checkpoint
from own_nets import write_nets
from quick_training import Ear

pytest.importorskip("onnxscript")
LABELS = ("circle", "square", "triangle", "star")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("imported")
    own = f"{write_nets(folder)}:plain"
    torch.save(build(find_backbone(own), classes=4).state_dict(), folder / "x.pth")
    return import_checkpoint(
        folder / "x.pth", ImportSettings(backbone=own, labels=LABELS, image_size=32, out=folder / "runs")
    ).run


def test_it_is_compared_on_drawn_pictures_which_say_nothing_of_its_accuracy(imported: Run, tmp_path: Path) -> None:
    ear = Ear()
    (done,) = export(imported, out=tmp_path / "model.onnx", progress=ear)
    assert "has no images, so its file is compared on drawn ones" in " ".join(ear.lines)
    card = Classifier(done.path).card
    assert (card.metrics, card.labels, card.strategy) == ({}, LABELS, "imported")
    drawn = card.parity["drawn"]
    assert (drawn["n"], drawn["compared"], drawn["top1_agreement"]) == (60, 60, 1.0)
    assert drawn["max_difference"] < 1e-4 and "accuracy" not in drawn and "validation" not in card.parity
    assert done.describe().startswith("the file with the checkpoint in torch on 60 drawn images")


def test_on_images_that_are_named_it_is_measured_too(imported: Run, tmp_path: Path) -> None:
    data = draw_shapes(tmp_path / "shapes", counts=(12, 9, 6))
    (done,) = export(imported, ("torchscript",), out=tmp_path / "model.pt", data=data)
    assert (done.card.metrics["val"]["n"], done.card.metrics["test"]["n"]) == (9, 6)
    assert done.card.parity["validation"]["n"] == 9


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"precision": "int8"}, "`precision` needs images"),
        ({"with_unlike": True}, "`with_unlike` needs images"),
    ],
)
def test_what_needs_images_is_refused_without(imported: Run, tmp_path: Path, asked: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        export(imported, out=tmp_path / "model.onnx", settings=ExportSettings(**asked))
    assert "`data`" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_no_ensemble_is_made_with_it(imported: Run, tmp_path: Path) -> None:
    twin = Run(tmp_path / "twin")
    twin.path.mkdir()
    for path in imported.path.iterdir():
        (twin.path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match="has no images, so no ensemble with it can be measured"):
        export([imported, twin], out=tmp_path / "model.onnx")
