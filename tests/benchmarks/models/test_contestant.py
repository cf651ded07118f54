from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edge_benchmarks import Contestant
from edge_benchmarks.models.drawn_picture import draw_picture
from edge_benchmarks.models.engines import Setup
from edge_runtime import ModelCard, ModelError, Preprocessing, UsageError
from tiny_model import write_tiny_model


def test_the_setup_says_what_a_worker_needs(tmp_path: Path) -> None:
    contestant = Contestant("tiny", write_tiny_model(tmp_path / "tiny.onnx", size=24))
    setup = contestant.setup(threads=2, batch=5, images=(tmp_path / "x.jpg",))
    assert (setup.path, setup.engine, setup.threads, setup.batch) == (str(contestant.model), "onnxruntime", 2, 5)
    assert setup.images == (str(tmp_path / "x.jpg"),) and setup.is_classifier and setup.classes is None
    assert Setup.from_json(setup.to_json()) == setup


def test_another_engine_is_the_same_network(tmp_path: Path) -> None:
    contestant = Contestant("tiny", write_tiny_model(tmp_path / "tiny.onnx"))
    other = contestant.run_by("torch", tmp_path / "best.pt")
    assert (other.opened, other.model, other.engine) == (tmp_path / "best.pt", contestant.model, "torch")
    assert other.file is contestant.file
    assert not other.passing and contestant.run_by("torchscript", tmp_path / "t.pt", passing=True).passing


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, ()),
        ({"architecture": {"pruned": 0.4987, "stem": "small", "hidden_units": 64}},
         ("pruned 0.5", "small stem", "hidden layer of 64")),
        ({"architecture": {"attention": "/home/anna"}}, ("another attention",)),
        ({"architecture": {"network_sha256": "0a1b2c3d" * 8}}, ("code 0a1b2c3d",)),
        ({"architecture": {"network_sha256": "/home/anna"}}, ()),
        ({"members": ({"run": "1"}, {"run": "2"}), "tta": {"name": "five-crop", "views": 5}},
         ("ensemble of 2", "averages five-crop views")),
    ],
)  # fmt: skip
def test_what_makes_it_another_network_than_its_backbones_is_said(
    tmp_path: Path, told: dict[str, Any], words: tuple[str, ...]
) -> None:
    steps = Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear")
    card = ModelCard(("a", "b", "c"), steps, "mobilenet_v2", "scratch", **told)
    assert Contestant("own", write_tiny_model(tmp_path / "own.onnx", card=card)).variant == words


def test_a_missing_file_and_one_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.onnx does not exist"):
        _ = Contestant("gone", tmp_path / "gone.onnx").file
    (tmp_path / "text.onnx").write_text("not a model", encoding="utf-8")
    with pytest.raises(ModelError, match=r"text\.onnx"):
        _ = Contestant("text", tmp_path / "text.onnx").file


def test_the_drawn_picture_is_always_the_same_and_costs_what_a_photo_does(tmp_path: Path) -> None:
    first, second = draw_picture(tmp_path / "1.jpg"), draw_picture(tmp_path / "2.jpg")
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (640, 480), "RGB")
    # Cameras and phones spend 1 to 4 bits on a pixel.
    assert 1 <= first.stat().st_size * 8 / (640 * 480) <= 4


def test_a_contestant_without_a_file_or_with_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`model` None: a path is needed"):
        Contestant("a", None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="`engine` x is not known"):
        Contestant("a", tmp_path / "model.onnx", engine="x")  # type: ignore[arg-type]
