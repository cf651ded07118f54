from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_benchmarks import Contestant, draw_picture
from edge_runtime import ImageError, ModelError, UsageError
from tiny_model import write_tiny_model


def test_inference_runs_the_image_it_was_given(tmp_path: Path) -> None:
    contestant = Contestant("tiny", write_tiny_model(tmp_path / "tiny.onnx"))
    Image.new("RGB", (64, 48), (0, 250, 0)).save(tmp_path / "green.png")
    answers = contestant.inference(tmp_path / "green.png", batch=5)()
    assert isinstance(answers, np.ndarray)
    assert answers.shape == (5, 3)
    assert answers.argmax(axis=1).tolist() == [1] * 5


def test_preprocess_gives_the_models_input(tmp_path: Path) -> None:
    contestant = Contestant("tiny", write_tiny_model(tmp_path / "tiny.onnx", size=24))
    pixels = contestant.preprocess(draw_picture(tmp_path / "x.jpg"))()
    assert isinstance(pixels, np.ndarray)
    assert (pixels.shape, pixels.dtype) == ((24, 24, 3), np.uint8)
    assert contestant.input_px == "24"


def test_a_model_whose_batch_is_fixed_is_refused(tmp_path: Path) -> None:
    contestant = Contestant("one", write_tiny_model(tmp_path / "one.onnx", batch=1))
    with pytest.raises(ModelError, match=r"one\.onnx.*dynamic batch"):
        contestant.inference(draw_picture(tmp_path / "x.jpg"), batch=8)


def test_a_missing_file_and_a_foreign_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.onnx does not exist"):
        _ = Contestant("gone", tmp_path / "gone.onnx").classifier
    (tmp_path / "text.onnx").write_text("not a model", encoding="utf-8")
    with pytest.raises(ModelError, match=r"text\.onnx"):
        _ = Contestant("text", tmp_path / "text.onnx").classifier


def test_an_image_that_is_none_is_refused(tmp_path: Path) -> None:
    contestant = Contestant("tiny", write_tiny_model(tmp_path / "tiny.onnx"))
    (tmp_path / "text.jpg").write_text("not an image", encoding="utf-8")
    with pytest.raises(ImageError):
        contestant.preprocess(tmp_path / "text.jpg")


def test_the_drawn_picture_is_always_the_same_and_costs_what_a_photo_does(tmp_path: Path) -> None:
    first, second = draw_picture(tmp_path / "1.jpg"), draw_picture(tmp_path / "2.jpg")
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (640, 480), "RGB")
    # Cameras and phones spend 1 to 4 bits on a pixel.
    assert 1 <= first.stat().st_size * 8 / (640 * 480) <= 4
