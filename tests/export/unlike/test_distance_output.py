"""The output `distance` of a file with an embedding: the method, in the graph."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import numpy as np
import onnx
from onnx import TensorProto, helper

from edge_export import distances_to, find_centres
from edge_export.unlike.distance_output import add_distance
from edge_runtime import Classifier, open_session
from tiny_model import write_tiny_model

PIXELS = (
    np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    // np.arange(1, 6, dtype=np.uint8)[:, None, None, None]
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The tiny model, its mean colours as the embedding."""
    path = write_tiny_model(tmp_path / "model.onnx")
    proto = onnx.load(path)
    proto.graph.node.append(helper.make_node("Identity", ["colour"], ["embedding"]))
    proto.graph.output.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 3]))
    onnx.save(proto, path)
    return path


@pytest.mark.parametrize("keep", [True, False])
def test_it_is_the_method_and_the_rest_stays(model: Path, keep: bool) -> None:
    before = Classifier(model, threads=1)
    embeddings, probabilities = before.embeddings(PIXELS), before.probabilities(PIXELS)
    size_bytes = model.stat().st_size
    centres = find_centres(np.eye(3) + 0.1, 64)
    add_distance(model, centres, keep_embedding=keep)
    after = Classifier(model, threads=1)
    assert after.embedding_size == (3 if keep else 0)
    np.testing.assert_array_equal(after.probabilities(PIXELS), probabilities)
    session = open_session(model, threads=1)
    for size in (1, 5):
        (found,) = session.run(["distance"], {"image": PIXELS[:size]})
        assert found.shape == (size,) and found.dtype == np.float32
        np.testing.assert_allclose(found, distances_to(centres, embeddings)[:size], atol=1e-3)
    # Halves, so that 64 centres of 1280 numbers are 164 kB.
    assert model.stat().st_size - size_bytes < 2 * centres.size + 1500


def test_a_black_picture_of_no_features_is_as_far_as_can_be(model: Path) -> None:
    add_distance(model, find_centres(np.eye(3), 64), keep_embedding=False)
    (found,) = open_session(model, threads=1).run(["distance"], {"image": np.zeros((1, 32, 32, 3), np.uint8)})
    assert found[0] == 1
