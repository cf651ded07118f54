"""`with_unlike`: the file says how far a picture lies from training's, and was measured on validation's."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import numpy as np

from edge_data import read_split
from edge_export import ExportSettings, distances_to, export, find_centres
from edge_runtime import CROSS_VALIDATED, Classifier, Run, Sample, UsageError, open_session, read_batches
from edge_train import load_checkpoint, save_checkpoint


@pytest.fixture(scope="module")
def original(make_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run: Path = make_run(tmp_path_factory.mktemp("unlike") / "runs" / "small", "squeezenet1_1")
    return run


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(original, tmp_path / "runs" / "small")))


def pixels_of(classifier: Classifier, root: Path, samples: tuple[Sample, ...]) -> np.ndarray:
    return np.concatenate([batch.pixels for batch in read_batches(classifier.preprocessing, root, samples)])


def test_the_file_tells_distances_in_its_own_precision(run: Run, shapes: Path) -> None:
    asked = ExportSettings(precision="fp16", with_unlike=True, max_drop_points=100)
    (done,) = export(run, settings=replace(asked, with_embedding=True))
    classifier = Classifier(done.path, threads=1)
    scale = classifier.card.unlike
    split = read_split(run.split, classifier.labels)
    assert scale is not None and (scale.n, scale.training_images) == (len(split.val), len(split.train)) == (12, 30)
    # What the graph computes is the method, over the file's own embeddings of the training images.
    centres = find_centres(classifier.embeddings(pixels_of(classifier, shapes, split.train)), 64)
    pixels = pixels_of(classifier, shapes, split.val)
    expected = distances_to(centres, classifier.embeddings(pixels))
    session = open_session(done.path, threads=1)
    (found,) = session.run(["distance"], {"image": pixels})
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(scale.distances, np.sort(found), atol=1e-5)
    # On validation as many are refused as the file says.
    rejecting = Classifier(done.path, threads=1, reject_unlike=0.25)
    refused = [rejecting.predict_input(each, "x").unlike for each in pixels]
    assert np.mean(refused) == pytest.approx(scale.beyond(scale.threshold(0.25)))


def test_what_cannot_have_it_says_so(run: Run) -> None:
    asked = ExportSettings(with_unlike=True)
    with pytest.raises(UsageError, match="`with_unlike` is for ONNX files"):
        asked.require_possible(("onnx", "torchscript"), members=1)
    with pytest.raises(UsageError, match="2 runs has no one embedding") as caught:
        asked.require_possible(("onnx",), members=2)
    assert caught.value.hint.startswith("drop `with_unlike`")
    checkpoint = load_checkpoint(run.best)
    metrics = {CROSS_VALIDATED: checkpoint.card.metrics["val"]}
    save_checkpoint(run.best, replace(checkpoint, card=replace(checkpoint.card, metrics=metrics)))
    with pytest.raises(UsageError, match="learned from all images"):
        export(run, settings=asked)
    assert not run.model.exists()
