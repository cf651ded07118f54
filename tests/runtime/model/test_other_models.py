"""Classifiers that edge export did not make: fed as their input says, softmax added where it is missing."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_runtime import Classifier, EdgeError, ForeignClassifier, ModelError, UsageError, read_labels

onnx = pytest.importorskip("onnx")

LABELS = ("red", "green", "blue")


def write(
    path: Path, shape: Sequence[int | str], *, uint8: bool = False, softmax: bool = False, first: bool = True
) -> Path:
    """A model that answers with each channel's mean."""
    from onnx import TensorProto, helper

    kind = TensorProto.UINT8 if uint8 else TensorProto.FLOAT
    axes = [2, 3] if first else [1, 2]
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f"], ["s"], axes=axes, keepdims=0),
        helper.make_node("Softmax" if softmax else "Identity", ["s"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [shape[0], 3])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("shape", "uint8", "first"),
    [
        (["n", 3, 32, 40], False, True),
        ([1, 3, 32, 32], False, True),
        (["n", 24, 24, 3], False, False),
        (["n", 24, 24, 3], True, False),
        ([2, 3, "h", "w"], True, True),
    ],
)
@pytest.mark.parametrize("softmax", [False, True])
def test_any_layout_and_type_of_input(
    tmp_path: Path, shape: list[int | str], uint8: bool, first: bool, softmax: bool
) -> None:
    model = write(tmp_path / "m.onnx", shape, uint8=uint8, softmax=softmax, first=first)
    classifier = ForeignClassifier(model, labels=LABELS, threads=1)
    pictures = [Image.new("RGB", (50, 60), colour) for colour in ("red", "lime", "blue", "lime", "red")]
    answers = list(pickle.loads(pickle.dumps(classifier)).predict_many(pictures))
    assert [answer.label for answer in answers] == ["red", "green", "blue", "green", "red"]
    for answer in answers:
        assert answer.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert ("softmax added" in classifier.note) is not softmax


def test_pixels_are_normalised_as_imagenet_is(tmp_path: Path) -> None:
    classifier = ForeignClassifier(write(tmp_path / "m.onnx", ["n", 3, 32, 32]), labels=LABELS, threads=1)
    colour = np.array([200, 100, 50], np.uint8)
    found = classifier.predict(Image.new("RGB", (32, 32), tuple(map(int, colour)))).probabilities
    scores = np.exp((colour / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225])
    assert found == pytest.approx(scores / scores.sum(), abs=1e-5)


def changed(model: Path, change: Callable[[Any], None]) -> Path:
    proto = onnx.load(model)
    change(proto)
    onnx.save(proto, model)
    return model


def test_half_precision_goes_in_and_comes_out(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    def halve(proto: Any) -> None:
        proto.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
        proto.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
        proto.graph.node[-1].output[0] = "wide"
        proto.graph.node.append(helper.make_node("Cast", ["wide"], ["y"], to=TensorProto.FLOAT16))

    model = changed(write(tmp_path / "m.onnx", ["n", 3, 32, 32]), halve)
    answer = ForeignClassifier(model, labels=LABELS, threads=1).predict(Image.new("RGB", (40, 40), "lime"))
    assert answer.label == "green" and answer.probabilities.dtype == np.float32
    assert answer.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_of_several_outputs_the_one_with_as_many_as_labels_is_the_answer(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    def add_features(proto: Any) -> None:
        proto.graph.node.append(helper.make_node("Concat", ["s", "s"], ["features"], axis=1))
        proto.graph.output.insert(0, helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 6]))

    model = changed(write(tmp_path / "m.onnx", ["n", 3, 32, 32]), add_features)
    assert ForeignClassifier(model, labels=LABELS, threads=1).predict(Image.new("RGB", (9, 9), "blue")).label == "blue"
    with pytest.raises(EdgeError, match="features tensor"):
        ForeignClassifier(model, labels=("a", "b"), threads=1)


def test_a_graph_of_four_images_at_a_time_runs_once_for_four(tmp_path: Path) -> None:
    classifier = ForeignClassifier(write(tmp_path / "m.onnx", [4, 3, 32, 32]), labels=LABELS, threads=2)
    session = classifier._graph.session
    runs = []

    class Counting:
        def run(self, *words: Any) -> Any:
            runs.append(words)
            return session.run(*words)

    classifier._graph = replace(classifier._graph, session=Counting())
    pictures = [Image.new("RGB", (40, 40), colour) for colour in ("red", "lime", "blue") * 7]
    assert [answer.label for answer in classifier.predict_many(pictures)] == list(LABELS) * 7
    assert len(runs) == 6


def test_each_thread_runs_a_graph_of_its_own(tmp_path: Path) -> None:
    classifier = ForeignClassifier(write(tmp_path / "m.onnx", ["n", 3, 32, 32]), labels=LABELS, threads=2)
    pictures = [Image.new("RGB", (40, 40), colour) for colour in ("red", "lime", "blue") * 7]
    answers = list(classifier.predict_many(pictures))
    assert [answer.label for answer in answers] == list(LABELS) * 7
    assert classifier._alone is not None and classifier._alone is not classifier._graph
    for picture, answer in zip(pictures, answers, strict=True):
        np.testing.assert_allclose(answer.probabilities, classifier.predict(picture).probabilities, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "labels", "said"),
    [
        (["n", 3, 32, 32], ("a", "b"), "has 3 classes, but there are 2 labels"),
        (["n", 3, 32, 32], ("a", "b", "c", "d"), "4 labels"),
        (["n", 1, 32, 32], LABELS, "cannot feed"),
        (["n", 4, 32, 32], LABELS, "cannot feed"),
    ],
)
def test_what_does_not_fit_is_one_line(
    tmp_path: Path, shape: list[int | str], labels: tuple[str, ...], said: str
) -> None:
    model = write(tmp_path / "m.onnx", shape)
    with pytest.raises(EdgeError, match=said) as refused:
        ForeignClassifier(model, labels=labels, threads=1)
    assert "\n" not in str(refused.value)


def test_one_score_per_image_is_no_answer(tmp_path: Path) -> None:
    # As of a sigmoid: a softmax over one score is 1 for every picture.
    model = onnx.load(write(tmp_path / "m.onnx", ["n", 3, 32, 32]))
    model.graph.node[-1].output[0] = "three"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0], np.int64), "first"))
    model.graph.node.append(onnx.helper.make_node("Gather", ["three", "first"], ["y"], axis=1))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1
    onnx.save(model, tmp_path / "m.onnx")
    for labels in (("cat",), ("cat", "dog")):
        with pytest.raises(ModelError, match="gives one score per image, and edge needs two classes"):
            ForeignClassifier(tmp_path / "m.onnx", labels=labels, threads=1)


@pytest.mark.parametrize("content", [b"", b"a\n\nb\n", b"\xff\xfe\x00"])
def test_labels_that_are_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(UsageError, match=r"labels\.txt"):
        read_labels(tmp_path / "labels.txt")


def test_labels_that_stand_twice_are_told_apart_by_their_lines(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("crane\nbee\ncrane \n")
    model = write(tmp_path / "m.onnx", ["n", 3, 32, 32])
    classifier = ForeignClassifier(model, labels=read_labels(tmp_path / "labels.txt"), threads=1)
    assert classifier.labels == classifier.card.labels == ("crane (1)", "bee", "crane (3)")
    assert "2 labels stand twice and have their line, as in 'crane (1)'" in classifier.note
    again = pickle.loads(pickle.dumps(classifier))
    assert (again.labels, again.note.partition(": ")[2]) == (classifier.labels, classifier.note.partition(": ")[2])
    assert again.predict(Image.new("RGB", (9, 9), "blue")).label == "crane (3)"
    with pytest.raises(ModelError, match=r"the label 'a \(2\)' twice"):
        ForeignClassifier(model, labels=("a (2)", "a", "a"), threads=1)


def test_it_is_a_sibling_of_the_classifier(tmp_path: Path) -> None:
    classifier = ForeignClassifier(write(tmp_path / "m.onnx", ["n", 3, 32, 32]), labels=LABELS, threads=1)
    assert not isinstance(classifier, Classifier)
    assert repr(classifier) == f"ForeignClassifier({str(tmp_path / 'm.onnx')!r}, 3 labels, foreign)"
    with pytest.raises(ModelError, match="no embedding"):
        classifier.embedding(Image.new("RGB", (9, 9), "blue"))


def test_labels_are_lines(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes("\ufeffchat\r\nhérisson \r\n".encode())
    assert read_labels(tmp_path / "labels.txt") == ("chat", "hérisson")
