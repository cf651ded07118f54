"""Averaged views of a picture: which they are, what they come to, and what they change beside one view."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

import numpy as np
import pytest
from PIL import Image

from edge_runtime import (
    AveragedViews,
    Classifier,
    ModelCard,
    Preprocessing,
    Sample,
    TtaName,
    UsageError,
    evaluate,
    evaluate_views,
    find_views,
)
from tiny_model import write_tiny_model

COLOURS = ("red", "lime", "blue")
CONTRACT = Preprocessing(resize_px=41, height_px=32, width_px=32, interpolation="bilinear")


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    card = ModelCard(labels=COLOURS, preprocessing=CONTRACT, backbone="tiny", strategy="scratch")
    return Classifier(write_tiny_model(tmp_path / "model.onnx", labels=COLOURS, card=card))


@pytest.mark.parametrize(("name", "count"), [("flip", 2), ("five-crop", 5), ("ten-crop", 10)])
def test_the_views_are_those_of_the_name(name: TtaName, count: int) -> None:
    views = AveragedViews(name, CONTRACT)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 41, 41, 3), dtype=np.uint8)
    if name == "flip":
        pixels = pixels[:, 4:36, 4:36]
    assert pixels.shape[1:3] == (views.preprocessing.height_px, views.preprocessing.width_px)
    seen = [views.cut(pixels, view) for view in views.views]
    assert len(seen) == count and all(part.shape == (2, 32, 32, 3) for part in seen)
    if name == "flip":
        assert np.array_equal(seen[0], pixels) and np.array_equal(seen[1], pixels[:, :, ::-1])
        return
    corners = pixels[:, :32, :32], pixels[:, :32, 9:], pixels[:, 9:, :32], pixels[:, 9:, 9:]
    assert np.array_equal(seen[0], pixels[:, 4:36, 4:36])
    assert all(np.array_equal(*pair) for pair in zip(seen[1:5], corners, strict=True))
    assert all(np.array_equal(seen[at + 5], seen[at][:, :, ::-1]) for at in range(count - 5))


def test_the_average_is_scored_beside_one_view(classifier: Classifier, tmp_path: Path) -> None:
    # A red picture with a green frame: its centre alone is red, its corners are green.
    framed = Image.new("RGB", (41, 41), "lime")
    framed.paste("red", (7, 7, 34, 34))
    framed.save(tmp_path / "framed.png")
    Image.new("RGB", (41, 41), "blue").save(tmp_path / "blue.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    samples = [Sample("framed.png", 0), Sample("broken.png", 0), Sample("blue.png", 2)]
    views = find_views(classifier, "five-crop")
    found = evaluate_views(classifier, views, tmp_path, samples)
    assert len(found.averaged.unreadable) == 1
    # By hand: the mean of five answers.
    pixels = views.preprocessing(tmp_path / "framed.png")[None]
    by_hand = np.mean([classifier.probabilities(views.cut(pixels, view)) for view in views.views], axis=0)
    assert np.allclose(found.averaged.probabilities[0], by_hand[0], atol=1e-6)
    assert (found.one_view.correct, found.one_view.n, found.mended) == (2, 2, 0)
    assert found.spoiled == int(by_hand[0].argmax() != 0)
    swapped = evaluate_views(classifier, views, tmp_path, [Sample("framed.png", int(by_hand[0].argmax()))])
    assert (swapped.mended, swapped.spoiled) == (found.spoiled, 0)
    assert evaluate(classifier, tmp_path, [samples[2]]).metrics.accuracy == 1


def test_views_that_there_are_not_are_refused(classifier: Classifier, tmp_path: Path) -> None:
    whole = replace(CONTRACT, resize_px=32)
    assert AveragedViews("flip", whole).preprocessing == whole
    for name in get_args(TtaName)[1:]:
        with pytest.raises(UsageError, match="is given the whole picture, 32×32 pixels"):
            AveragedViews(name, whole)
    with pytest.raises(UsageError, match="`tta` turn is not known"):
        AveragedViews(cast("TtaName", "turn"), CONTRACT)
    card = replace(classifier.card, tta={"name": "flip", "views": 2})
    averaging = Classifier(write_tiny_model(tmp_path / "flip.onnx", labels=COLOURS, card=card))
    with pytest.raises(UsageError, match=r"averages views itself \(`tta` flip\)"):
        find_views(averaging, "flip")
