"""Tuning wins back what int8 costs, on the grid of the file itself, and never ends below int8 without it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import torch

from edge_export import Quantizer, export
from edge_export.precision import int8_tuning
from edge_export.precision.torch_graph import TorchGraph
from edge_export.settings import ExportSettings
from edge_runtime import Classifier, ParityError, Run, Silence, UsageError, write_json
from quantized_nets import colours, point, write_net


@pytest.fixture(scope="module")
def original(make_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = Run(make_run(tmp_path_factory.mktemp("tuning") / "runs" / "original", "squeezenet1_1"))
    config = json.loads(run.config.read_text())
    write_json(run.config, {**config, "settings": {"batch_size": 2, "seed": 3, "threads": 1}})
    return run.path


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(original, tmp_path / "runs" / "original")))


class _Said(Silence):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_the_best_epoch_is_kept_and_the_card_says_what_was_tried(run: Run) -> None:
    before = hashlib.sha256(run.best.read_bytes()).hexdigest()
    said = _Said()
    settings = ExportSettings(precision="int8", max_drop_points=100, tune=2)
    done = export(run, settings=settings, progress=said)[0]
    tuned = done.card.quantization["tuned"]
    assert tuned["epochs"] == 2 and [each["epoch"] for each in tuned["tried"]] == [0, 1, 2]
    ranks = [(each["accuracy"], -each["loss"]) for each in tuned["tried"]]
    assert tuned["best_epoch"] == ranks.index(max(ranks))
    assert len({each["loss"] for each in tuned["tried"]}) == 3
    assert tuned["fp32"]["n"] == tuned["untuned"]["n"] == tuned["int8"]["n"] == 12
    assert tuned["int8"]["accuracy"] >= tuned["untuned"]["accuracy"]
    assert done.validation.whole.n == 12 and done.validation.score == pytest.approx(tuned["int8"]["accuracy"])
    assert done.card.quantization["arithmetic"]["exact"]["max_difference"] < 1e-4
    assert "→ int8" in done.table and "fp32" in done.table
    assert any(line.startswith("tuned, epoch 2/2: ") for line in said.lines)
    # The run is as it was.
    assert hashlib.sha256(run.best.read_bytes()).hexdigest() == before


def test_where_no_epoch_is_better_the_file_is_that_of_int8_alone(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Steps so large that the weights are no numbers after a few.
    monkeypatch.setattr("edge_export.precision.int8_tuning.LEARNING_RATE", 1e30)
    plain = export(run, out=tmp_path / "plain.onnx", settings=ExportSettings(precision="int8", max_drop_points=100))
    said = _Said()
    settings = ExportSettings(precision="int8", max_drop_points=100, tune=2)
    done = export(run, settings=settings, progress=said)[0]
    tuned = done.card.quantization["tuned"]
    assert tuned["best_epoch"] == 0 and len(tuned["tried"]) == 1
    assert any("no numbers any more: given up" in line for line in said.lines)
    assert done.card.graph_sha256 == plain[0].card.graph_sha256


@pytest.mark.parametrize("activation", [{}, {"clip": True}, {"swish": True}], ids=["relu", "clip", "hard swish"])
def test_torch_answers_as_the_file_does(tmp_path: Path, activation: dict[str, bool]) -> None:
    draw = np.random.default_rng(0)
    convs = [point(0.4 * draw.normal(size=shape)) for shape in ((8, 3), (8, 8), (3, 8))]
    source = write_net(
        tmp_path / "net.onnx", convs, strides=2, bias=draw.normal(size=8).astype(np.float32), **activation
    )
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


def test_what_learned_from_the_float_network_is_nearer_to_it_in_int8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8_tuning, "TEACHER_WEIGHT", 1.0)
    draw = np.random.default_rng(0)
    convs = [point(0.4 * draw.normal(size=shape)) for shape in ((8, 3), (8, 8), (3, 8))]
    source, int8 = write_net(tmp_path / "net.onnx", convs), tmp_path / "int8.onnx"
    pixels, labels = colours(48)
    fp32 = Classifier(source, threads=1).probabilities(pixels)

    def quantised(path: Path) -> tuple[onnx.ModelProto, float]:
        with Quantizer(path, [pixels], threads=1) as quantizer:
            quantizer.write(int8)
            apart = np.abs(Classifier(int8, threads=1).probabilities(pixels) - fp32).mean()
            return quantizer.prepared, float(apart)

    prepared, before = quantised(source)
    network = TorchGraph(prepared, onnx.load(int8))
    batch = (torch.from_numpy(pixels), torch.from_numpy(labels))
    pictures: Any = SimpleNamespace(epoch=lambda _: [batch] * 60, job=SimpleNamespace(progress=Silence()))
    int8_tuning._train(network, TorchGraph(prepared), pictures, 1, steps=(60, 60), moments=None)
    onnx.save(network.tuned(), tmp_path / "tuned.onnx")
    assert quantised(tmp_path / "tuned.onnx")[1] < 0.7 * before


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
