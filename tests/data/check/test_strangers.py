"""Pictures of no class: told by a model's embedding, where one is given that has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from edge_data import check_data
from edge_data.check.strangers import neighbour_distances, strangers
from edge_runtime import ModelError, UsageError
from tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, its mean colours as the embedding."""
    path = write_tiny_model(tmp_path_factory.mktemp("model") / "model.onnx")
    proto = onnx.load(str(path))
    proto.graph.node.append(helper.make_node("Identity", ["colour"], ["embedding"]))
    proto.graph.output.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 3]))
    onnx.save(proto, str(path))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Reddish and greenish pictures, 20 of each, and one that is blue."""
    noise = np.random.default_rng(0)
    for label, colour in (("ripe", (200, 60, 40)), ("unripe", (70, 190, 50))):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(20):
            pixels = np.array(colour) + noise.integers(-50, 51, (6, 6, 3))
            path = tmp_path / "data" / label / f"{number}.png"
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).resize((48, 40), Image.Resampling.NEAREST).save(path)
    rows = np.linspace(0, 90, 40)[:, None, None] + np.array([0, 10, 150])
    Image.fromarray(np.broadcast_to(rows, (40, 48, 3)).astype(np.uint8)).save(tmp_path / "data/ripe/sky.png")
    return tmp_path / "data"


def test_a_picture_of_no_class_is_told_and_does_no_harm(edge: Any, data: Path, model: Path) -> None:
    assert "no-class" not in check_data(data).by_kind
    report = check_data(data, model=model)
    (finding,) = report.by_kind["no-class"]
    assert (finding.files, finding.harmful, report.harmful) == (("ripe/sky.png",), False, False)
    done = edge("data", "check", data, "--model", model)
    assert done.returncode == 0 and "note  no-class" in done.stdout and "1 of 41: unlike all others" in done.stdout


def test_all_else_is_found_as_without_a_model(data: Path, model: Path) -> None:
    (data / "ripe/0.png").rename(data / "ripe/copy.jpg")
    (data / "unripe/copy.png").write_bytes((data / "ripe/copy.jpg").read_bytes())
    (data / "unripe/broken.png").touch()
    plain = check_data(data).findings
    assert {finding.kind for finding in plain} == {"unreadable", "wrong-suffix", "two-labels", "blurred"}
    assert [finding for finding in check_data(data, model=model).findings if finding.kind != "no-class"] == list(plain)


def test_a_file_without_embedding_and_none_at_all_are_refused(edge: Any, data: Path, tmp_path: Path) -> None:
    plain = write_tiny_model(tmp_path / "plain.onnx")
    with pytest.raises(ModelError, match=r"plain\.onnx gives no embedding"):
        check_data(data, model=plain)
    with pytest.raises(UsageError, match=r"gone\.onnx"):
        check_data(data, model=tmp_path / "gone.onnx")
    done = edge("data", "check", data, "--model", plain)
    assert (done.returncode, done.stdout) == (1, "") and "--with-embedding" in done.stderr


def test_distances_are_to_the_fifth_nearest_whatever_the_length_of_a_vector() -> None:
    angles = np.radians([0, 10, 20, 30, 40, 50, 120])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.array([[1], [5], [0.1], [2], [3], [9], [4]])
    found = neighbour_distances(vectors)
    np.testing.assert_allclose(found[[0, 2, 6]], 1 - np.cos(np.radians([50, 30, 110])), atol=1e-6)
    assert strangers({str(n): vector for n, vector in enumerate(vectors)}) == []
