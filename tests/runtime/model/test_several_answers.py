"""A model of several labels, and one of several tasks: what they answer, and files that are not what they say."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edge_runtime import METADATA_KEY, Classifier, ModelCard, ModelError, UsageError
from tiny_model import COLOUR, LIGHT, write_multi_label_model, write_multi_task_model, write_tiny_model


def plain(*colour: int) -> NDArray[np.uint8]:
    """A picture of one colour."""
    return np.full((40, 40, 3), colour, np.uint8)


YELLOW, BLUE, BLACK = plain(255, 255, 0), plain(0, 0, 255), plain(0, 0, 0)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return Classifier(write_multi_label_model(tmp_path_factory.mktemp("labels") / "model.onnx"))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return Classifier(write_multi_task_model(tmp_path_factory.mktemp("tasks") / "model.onnx"))


def test_a_picture_has_each_label_that_reaches_its_threshold(labels: Classifier) -> None:
    answer = labels.predict(YELLOW)
    assert answer.given == ("red", "green") and answer.label == "red|green" and answer.labels == labels.labels
    assert answer.probability == pytest.approx(0.982, abs=1e-3) and answer.tasks == {}
    assert labels.predict(BLACK).given == () and labels.predict(BLACK).label == ""
    # Half of each: above the first threshold and the second, and below the third.
    assert labels.predict(plain(128, 128, 128)).given == ("red", "green")
    # A probability that is its threshold is enough.
    assert replace(answer, thresholds=tuple(map(float, answer.probabilities))).given == ("red", "green", "blue")


def test_an_answer_of_several_labels_in_json(labels: Classifier) -> None:
    value = labels.predict(plain(255, 130, 0)).to_json(2)
    assert list(value) == ["image", "labels", "top"]
    assert [row["label"] for row in value["labels"]] == ["red", "green"]
    assert value["top"] == value["labels"] and value["top"][1]["threshold"] == 0.25
    # All that are given, however few are asked for.
    assert len(labels.predict(YELLOW).to_json(1)["labels"]) == 2
    assert [row["label"] for row in labels.predict(plain(255, 130, 0)).to_json(min_confidence=0.9)["labels"]] == ["red"]
    assert labels.predict(plain(255, 130, 0)).told(0.9) == "red" and labels.predict(YELLOW).told(0.99) == ""


def test_a_picture_has_an_answer_for_each_task(tasks: Classifier) -> None:
    answer = tasks.predict(YELLOW)
    assert list(answer.tasks) == ["colour", "light"]
    assert answer.tasks["light"].label == "bright" and answer.tasks["light"].labels == ("dark", "bright")
    assert answer.tasks["colour"].probabilities.sum() == pytest.approx(1)
    blue = tasks.predict(BLUE)
    assert blue.given == ("blue", "dark") and blue.label == "colour: blue, light: dark"
    assert blue.probability == blue.tasks["light"].probability < blue.tasks["colour"].probability
    assert blue.told(0.99) == "colour: blue, light: unknown"


def test_an_answer_of_several_tasks_in_json(tasks: Classifier) -> None:
    value = tasks.predict(BLUE).to_json(2, min_confidence=0.99)
    assert list(value) == ["image", "tasks"] and list(value["tasks"]) == ["colour", "light"]
    assert value["tasks"]["colour"]["label"] == "blue" and len(value["tasks"]["colour"]["top"]) == 2
    assert value["tasks"]["light"]["label"] == "unknown" and value["tasks"]["light"]["top"][0]["label"] == "dark"


def test_probabilities_are_those_of_the_cards_labels(labels: Classifier, tasks: Classifier) -> None:
    for classifier in (labels, tasks):
        pixels = np.stack([classifier.preprocessing(each) for each in (YELLOW, BLUE, BLACK)])
        rows = classifier.probabilities(pixels)
        assert rows.shape == (3, len(classifier.labels)) and rows.dtype == np.float32
        for row, picture in zip(rows, (YELLOW, BLUE, BLACK), strict=True):
            assert np.allclose(row, classifier.predict(picture).probabilities, atol=1e-6)
    assert tasks.labels == COLOUR.card_labels + LIGHT.card_labels


@pytest.mark.parametrize("batch_size", [None, 2])
def test_many_pictures_have_the_answers_of_each(tasks: Classifier, labels: Classifier, batch_size: int | None) -> None:
    for classifier in (tasks, labels):
        pictures = [YELLOW, BLUE, BLACK] * 3
        found = [answer.label for answer in classifier.predict_many(pictures, batch_size=batch_size)]
        assert found == [classifier.predict(picture).label for picture in pictures]


def test_they_pickle(tasks: Classifier) -> None:
    again = pickle.loads(pickle.dumps(tasks))
    assert again.predict(BLUE).tasks["colour"].label == "blue"
    answer = pickle.loads(pickle.dumps(tasks.predict(BLUE)))
    assert answer.tasks["light"].label == "dark"


@pytest.mark.parametrize("write", [write_multi_label_model, write_multi_task_model])
def test_what_is_unlike_training_is_asked_of_one_label_alone(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    with pytest.raises(UsageError, match=r"multi-.* model: `reject_unlike` is for those of one label"):
        Classifier(write(tmp_path / "m.onnx"), reject_unlike=0.05)


def changed(path: Path, change: Callable[[onnx.ModelProto, ModelCard], ModelCard]) -> Path:
    """The file with another graph or card."""
    model = onnx.load(path)
    card = change(model, ModelCard.loads(model.metadata_props[0].value, where="it"))
    del model.metadata_props[:]
    model.metadata_props.add(key=METADATA_KEY, value=card.dumps())
    onnx.save_model(model, str(path))
    return path


def test_files_that_are_not_what_their_card_says_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"

    def refused(said: str) -> None:
        with pytest.raises(ModelError, match=said) as caught:
            Classifier(path)
        assert caught.value.hint

    def without_an_output(model: onnx.ModelProto, card: ModelCard) -> ModelCard:
        del model.graph.output[1]
        return card

    def with_another_label(_: onnx.ModelProto, card: ModelCard) -> ModelCard:
        light = replace(LIGHT, labels=("dark", "dim", "bright"))
        return replace(card, labels=COLOUR.card_labels + light.card_labels, tasks=(COLOUR, light))

    changed(write_multi_task_model(path), without_an_output)
    refused(r"outputs \['probabilities_colour'\], not 'image' and 'probabilities_colour' and 'probabilities_light'")
    changed(write_multi_task_model(path), with_another_label)
    refused("2 outputs of probabilities_light but 3 labels")
    changed(write_tiny_model(path), lambda _, card: replace(card, labels=("x", "y"), thresholds=(0.5, 0.5)))
    refused("3 outputs but 2 labels")


def test_a_graph_whose_outputs_disagree_is_refused_when_it_runs(tmp_path: Path) -> None:
    def one_row(model: onnx.ModelProto, card: ModelCard) -> ModelCard:
        model.graph.node[-1].output[0] = "all"
        model.graph.node.append(onnx.helper.make_node("ReduceMax", ["all", "first_axis"], [LIGHT.output], keepdims=1))
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0], np.int64), "first_axis"))
        return card

    classifier = Classifier(changed(write_multi_task_model(tmp_path / "m.onnx"), one_row))
    pixels = np.stack([classifier.preprocessing(each) for each in (YELLOW, BLUE)])
    with pytest.raises(ModelError, match="answers 2 images with an array of"):
        classifier.probabilities(pixels)


def test_an_answer_of_one_label_is_what_it_was(tmp_path: Path) -> None:
    answer: Any = Classifier(write_tiny_model(tmp_path / "m.onnx")).predict(BLUE)
    assert type(answer).__name__ == "Prediction" and answer.given == (answer.label,) == ("c",) and answer.tasks == {}
    assert list(answer.to_json()) == ["image", "label", "probability", "top"]
    assert answer.to_json(min_confidence=1.0)["label"] == "unknown" == answer.told(1.0)
