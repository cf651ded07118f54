"""A classifier that answers `unknown` to what is unlike training, where it is asked to."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edge_runtime import DISTANCE_NAME, METADATA_KEY, Classifier, ModelCard, ModelError, UsageError
from tiny_model import write_tiny_model
from unlike_model import SCALE, write_unlike_model

RED, WHITE = Image.new("RGB", (40, 40), "red"), Image.new("RGB", (40, 40), "white")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_unlike_model(tmp_path / "model.onnx")


def test_what_lies_too_far_is_unknown_and_keeps_its_probabilities(model: Path) -> None:
    classifier = Classifier(model, threads=1, reject_unlike=0.05)
    known, unknown = classifier.predict(RED), classifier.predict(WHITE)
    assert (known.label, known.unlike, known.unlikeness) == ("red", False, 0.84)
    assert (unknown.label, unknown.unlike, unknown.unlikeness) == ("unknown", True, 0.99)
    assert unknown.probability == pytest.approx(1 / 3) and unknown.top(1)[0].label == "red"
    told = unknown.to_json(1)
    assert (told["label"], told["unlike"], told["unlikeness"]) == ("unknown", True, 0.99)
    assert told["top"][0]["label"] == "red" and classifier.predict(RED).to_json()["unlike"] is False


def test_the_share_decides(model: Path) -> None:
    assert Classifier(model, threads=1, reject_unlike=0.2).predict(RED).label == "unknown"
    assert Classifier(model, threads=1, reject_unlike=0.01).predict(WHITE).label == "unknown"


@pytest.mark.parametrize("batch_size", [None, 2])
def test_a_stream_is_answered_alike(model: Path, batch_size: int | None) -> None:
    classifier = Classifier(model, threads=2, reject_unlike=0.05)
    answers = list(classifier.predict_many([RED, WHITE] * 6, batch_size=batch_size))
    assert [answer.label for answer in answers] == ["red", "unknown"] * 6


def test_nothing_is_rejected_unless_it_is_asked_for(model: Path) -> None:
    answer = Classifier(model, threads=1).predict(WHITE)
    assert (answer.label, answer.unlike, answer.unlikeness) == ("red", False, None)
    assert "unlike" not in answer.to_json()


def test_distances_are_told_where_they_are_asked_for(model: Path, tmp_path: Path) -> None:
    classifier = Classifier(model, threads=1, with_distance=True)
    known, white = classifier.predict_many([RED, WHITE])
    assert (known.distance, white.distance) == (85, 255) and (white.label, white.unlike) == ("red", False)
    assert white.to_json() == Classifier(model, threads=1).predict(WHITE).to_json()
    rows, distances = classifier.probabilities_and_distances(np.stack([classifier.preprocessing(RED)] * 2))
    assert rows.shape == (2, 3) and distances.tolist() == [85, 85]
    assert pickle.loads(pickle.dumps(classifier)).predict(WHITE).distance == 255
    assert Classifier(model, threads=1, reject_unlike=0.05).predict(WHITE).distance == 255
    plain = Classifier(write_tiny_model(tmp_path / "plain.onnx"), threads=1, with_distance=True)
    assert plain.predict(WHITE).distance is None and Classifier(model, threads=1).predict(RED).distance is None
    with pytest.raises(UsageError, match="does not say what is unlike training"):
        plain.probabilities_and_distances(np.zeros((1, 32, 32, 3), np.uint8))


def test_it_pickles_with_what_it_rejects(model: Path) -> None:
    assert pickle.loads(pickle.dumps(Classifier(model, threads=1, reject_unlike=0.05))).predict(WHITE).unlike


def test_a_file_that_cannot_tell_says_how_to_get_it(tmp_path: Path, model: Path) -> None:
    plain = write_tiny_model(tmp_path / "plain.onnx")
    with pytest.raises(UsageError, match=r"plain\.onnx does not say what is unlike training") as caught:
        Classifier(plain, threads=1, reject_unlike=0.05)
    assert "`with_unlike`" in caught.value.hint
    with pytest.raises(UsageError, match=r"99 validation pictures tell shares from 0\.0100 on"):
        Classifier(model, threads=1, reject_unlike=0.001)
    for share in (float("nan"), float("inf"), 0, 1, -0.5, "5%", True):
        with pytest.raises(UsageError, match=r"`reject_unlike`"):
            Classifier(model, threads=1, reject_unlike=share)  # type: ignore[arg-type]


def test_a_scale_without_its_output_is_refused(model: Path) -> None:
    proto = onnx.load(model)
    del proto.graph.output[1]
    onnx.save(proto, model)
    with pytest.raises(ModelError, match="has no output 'distance'"):
        Classifier(model, threads=1)


def test_the_card_carries_it_and_a_bare_reader_does_not_meet_it(model: Path) -> None:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"image": np.zeros((2, 32, 32, 3), np.uint8)})
    assert found.shape == (2, 3)
    text = session.get_modelmeta().custom_metadata_map[METADATA_KEY]
    assert ModelCard.loads(text, where="x").unlike == SCALE
    # Of a method that only a later edge knows, the file still classifies.
    value = json.loads(text)
    value["unlike"]["method"] = "of next year"
    assert ModelCard.from_json(value, where="x").unlike is None


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("column", r"gives distances as tensor\(float\) \['batch', 1\], not float32 \[batch\]"),
        ("text", r"gives distances as tensor\(string\) \['batch'\]"),
        ("more", r"gives distances of 1 images that are an array of \[2\]"),
        ("nan", "gives distances of 1 images that are no numbers"),
    ],
)
def test_distances_that_are_none_are_refused(model: Path, kind: str, said: str) -> None:
    proto = onnx.load(model)
    graph, output = proto.graph, proto.graph.output[-1]
    graph.node[-1].output[0] = "told"
    for name, value in (("last", np.array([1], np.int64)), ("nan", np.array(np.nan, np.float32))):
        graph.initializer.append(numpy_helper.from_array(value, name))
    nodes = {
        "column": helper.make_node("Unsqueeze", ["told", "last"], [DISTANCE_NAME]),
        "text": helper.make_node("Cast", ["told"], [DISTANCE_NAME], to=TensorProto.STRING),
        "more": helper.make_node("Concat", ["told", "told"], [DISTANCE_NAME], axis=0),
        "nan": helper.make_node("Mul", ["told", "nan"], [DISTANCE_NAME]),
    }
    graph.node.append(nodes[kind])
    graph.output.remove(output)
    element = TensorProto.STRING if kind == "text" else TensorProto.FLOAT
    shape = {"column": ["batch", 1], "more": ["twice"]}.get(kind, ["batch"])
    graph.output.append(helper.make_tensor_value_info(DISTANCE_NAME, element, shape))
    onnx.save(proto, model)
    with pytest.raises(ModelError, match=said):
        Classifier(model, threads=1, reject_unlike=0.05).predict(Image.new("RGB", (40, 40), "red"))
