"""Tuning wins back what int8 costs, on the grid of the file itself, and never ends below int8 without it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import torch

from edge_export import Quantizer, export
from edge_export.precision.torch_graph import TorchGraph
from edge_export.settings import ExportSettings
from edge_runtime import Classifier, ParityError, Run, Silence, UsageError, write_json
from edge_train import Checkpoint, load_checkpoint, save_checkpoint
from quantized_nets import colours, point, write_net


@pytest.fixture(scope="module")
def planted(make_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose head has a huge weight on a channel that is always zero: in int8 it steps over all the others."""
    run = Run(make_run(tmp_path_factory.mktemp("tuning") / "runs" / "planted", "squeezenet1_1"))
    checkpoint = load_checkpoint(run.best)
    weights = {name: tensor.clone() for name, tensor in checkpoint.network.items()}
    last = "backbone.features.12.expand3x3"
    weights[f"{last}.weight"][-1], weights[f"{last}.bias"][-1] = 0, 0
    head = weights["backbone.classifier.1.weight"]
    head[:, -1] = 130 * head.abs().max()
    save_checkpoint(run.best, Checkpoint(checkpoint.card, weights, 1, {}))
    config = json.loads(run.config.read_text())
    write_json(run.config, {**config, "settings": {"batch_size": 2, "seed": 3, "threads": 1}})
    return run.path


@pytest.fixture
def run(planted: Path, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(planted, tmp_path / "runs" / "planted")))


class _Said(Silence):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_tuning_wins_back_what_int8_loses(run: Run) -> None:
    before = hashlib.sha256(run.best.read_bytes()).hexdigest()
    said = _Said()
    settings = ExportSettings(precision="int8", max_drop_points=100, tune=6)
    done = export(run, settings=settings, progress=said)[0]
    tuned = done.card.quantization["tuned"]
    assert tuned["epochs"] == 6 and len(tuned["tried"]) == 7 and tuned["best_epoch"] > 0
    assert tuned["fp32"]["n"] == tuned["untuned"]["n"] == tuned["int8"]["n"] == 12
    assert tuned["int8"]["accuracy"] >= tuned["untuned"]["accuracy"] + 0.2
    assert done.validation.whole.n == 12 and done.validation.score == pytest.approx(tuned["int8"]["accuracy"])
    assert done.card.quantization["arithmetic"]["exact"]["max_difference"] < 1e-4
    assert "→ int8, tuned" in done.table and "fp32" in done.table
    assert any(line.startswith("tuned, epoch 6/6: ") for line in said.lines)
    # The run is as it was.
    assert hashlib.sha256(run.best.read_bytes()).hexdigest() == before


def test_where_no_epoch_is_better_the_file_is_that_of_int8_alone(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Steps as large as the weights themselves: nothing that was learned survives.
    monkeypatch.setattr("edge_export.precision.int8_tuning.LEARNING_RATE", 1e4)
    plain = export(run, out=tmp_path / "plain.onnx", settings=ExportSettings(precision="int8", max_drop_points=100))
    done = export(run, settings=ExportSettings(precision="int8", max_drop_points=100, tune=1))[0]
    tuned = done.card.quantization["tuned"]
    if tuned["best_epoch"] == 0:
        assert done.card.graph_sha256 == plain[0].card.graph_sha256
    assert tuned["int8"]["accuracy"] >= tuned["untuned"]["accuracy"]


@pytest.mark.parametrize("clip", [False, True])
def test_torch_answers_as_the_file_does(tmp_path: Path, clip: bool) -> None:
    draw = np.random.default_rng(0)
    convs = [point(draw.normal(size=(8, 3))), point(draw.normal(size=(8, 8))), point(draw.normal(size=(3, 8)))]
    source = write_net(tmp_path / "net.onnx", convs, clip=clip, strides=2, bias=draw.normal(size=8).astype(np.float32))
    pixels, _ = colours(24)
    with Quantizer(source, [pixels], threads=1) as quantizer:
        quantizer.write(tmp_path / "int8.onnx")
        prepared = quantizer.prepared
    rounded = TorchGraph(prepared, onnx.load(tmp_path / "int8.onnx"))
    with torch.no_grad():
        found, plain = (graph(torch.from_numpy(pixels)).softmax(1).numpy() for graph in (rounded, TorchGraph(prepared)))
    int8, fp32 = (Classifier(tmp_path / name, threads=1).probabilities(pixels) for name in ("int8.onnx", "net.onnx"))
    np.testing.assert_allclose(plain, fp32, atol=1e-5)
    assert np.abs(int8 - fp32).max() > 1e-3
    np.testing.assert_allclose(found, int8, atol=1e-4)
    # Nothing was trained, so nothing has moved.
    for tensor, same in zip(rounded.tuned().graph.initializer, prepared.graph.initializer, strict=True):
        np.testing.assert_allclose(onnx.numpy_helper.to_array(tensor), onnx.numpy_helper.to_array(same), atol=1e-5)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"tune": 1}, "`tune` is for `precision` int8, not fp32"),
        ({"tune": 1, "precision": "fp16"}, "not fp16"),
        ({"tune": 1, "precision": "auto"}, "not auto"),
        ({"tune": 1, "precision": "int8", "tta": "flip"}, "one view"),
        ({"tune": 0, "precision": "int8"}, "tune"),
    ],
)
def test_what_tuning_does_not_go_with_is_refused(run: Run, chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        export(run, settings=ExportSettings(**chosen))
    assert caught.value.exit_code == 2
    assert not list(run.path.glob("*.onnx"))


def test_an_ensemble_is_not_tuned(run: Run) -> None:
    with pytest.raises(UsageError, match="ensemble of 2"):
        export([run, run], settings=ExportSettings(precision="int8", tune=1))


def test_without_the_pictures_nothing_is_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ParityError, match=r"can be read"):
        export(run, data=tmp_path / "empty", settings=ExportSettings(precision="int8", tune=1))
    assert not list(run.path.glob("*.onnx"))
