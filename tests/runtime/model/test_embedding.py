"""The embedding output: there for who asks, in nobody's way, and missed with a hint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from PIL import Image

from edge_runtime import Classifier, ImageError, ModelError, UsageError
from tiny_model import write_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The tiny model, its mean colours as the embedding."""
    path = write_tiny_model(tmp_path / "model.onnx")
    proto = onnx.load(path)
    proto.graph.node.append(helper.make_node("Identity", ["colour"], ["embedding"]))
    proto.graph.output.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 3]))
    onnx.save(proto, path)
    return path


def test_the_embedding_of_an_image_and_of_many(model: Path) -> None:
    classifier = Classifier(model, threads=1)
    assert classifier.embedding_size == 3
    np.testing.assert_allclose(classifier.embedding(Image.new("RGB", (40, 50), (10, 20, 30))), [10, 20, 30], atol=1e-4)
    pixels = np.stack([np.full((32, 32, 3), value, np.uint8) for value in (0, 100)])
    found = classifier.embeddings(pixels)
    assert found.dtype == np.float32 and found.tolist() == [[0, 0, 0], [100, 100, 100]]
    assert classifier.predict(Image.new("RGB", (40, 50), "lime")).label == "b"
    with pytest.raises(ImageError):
        classifier.embedding(b"no picture")
    with pytest.raises(UsageError, match="uint8"):
        classifier.embeddings(pixels[0])


def test_a_bare_reader_of_probabilities_does_not_meet_it(model: Path) -> None:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"image": np.zeros((2, 32, 32, 3), np.uint8)})
    assert found.shape == (2, 3)
    assert session.get_outputs()[0].name == "probabilities"


def test_a_file_without_it_says_how_to_get_it(tmp_path: Path) -> None:
    classifier = Classifier(write_tiny_model(tmp_path / "plain.onnx"))
    assert classifier.embedding_size == 0
    for ask in (
        lambda: classifier.embedding(Image.new("RGB", (4, 4))),
        lambda: classifier.embeddings(np.zeros((1, 32, 32, 3), np.uint8)),
    ):
        with pytest.raises(ModelError, match=r"plain\.onnx gives no embedding") as caught:
            ask()
        assert "`with_embedding`" in caught.value.hint


def test_answers_and_what_they_rest_on_come_of_one_run(model: Path) -> None:
    classifier = Classifier(model, threads=1)
    pixels = np.stack([np.full((32, 32, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 200))])
    answers, embeddings = classifier.predict_inputs(pixels, ["1.png", "2.png"], with_embedding=True)
    assert [(answer.image, answer.label) for answer in answers] == [("1.png", "a"), ("2.png", "c")]
    assert embeddings is not None and embeddings.tolist() == classifier.embeddings(pixels).tolist()
    plain, none = classifier.predict_inputs(pixels, ["1.png", "2.png"])
    assert none is None
    assert [answer.probability for answer in plain] == [answer.probability for answer in answers]
    assert plain[0].probability == classifier.predict_input(pixels[0], "1.png").probability


def test_answers_without_what_they_rest_on_are_refused(tmp_path: Path) -> None:
    classifier = Classifier(write_tiny_model(tmp_path / "plain.onnx"), threads=1)
    with pytest.raises(ModelError, match="gives no embedding"):
        classifier.predict_inputs(np.zeros((1, 32, 32, 3), np.uint8), ["1.png"], with_embedding=True)
