"""An answer: the most probable label, or the one that a threshold decides for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_runtime import Classifier, ModelCard, ModelError, OperatingPoint, Prediction, Preprocessing
from tiny_model import write_tiny_model

POINT = OperatingPoint("lime", 0.2, 0.95, 40, 20)
CARD = ModelCard(
    labels=("red", "lime"),
    preprocessing=Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear"),
    backbone="tiny",
    strategy="scratch",
    operating_point=POINT,
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx", CARD.labels, card=CARD, sharpness=4.0)


@pytest.fixture
def reddish(tmp_path: Path) -> Path:
    """Red with 73 %, lime with 27 %: red by itself, lime at the threshold."""
    Image.new("RGB", (40, 40), (255, 191, 0)).save(tmp_path / "x.png")
    return tmp_path / "x.png"


@pytest.mark.parametrize(
    ("lime", "label"), [(0.19, "red"), (0.2, "lime"), (0.5, "lime"), (0.9, "lime"), (0.0, "red"), (1.0, "lime")]
)
def test_from_its_threshold_on_the_positive_label_is_the_answer(lime: float, label: str) -> None:
    row = np.array([1 - lime, lime], np.float64)
    answer = Prediction("x", CARD.labels, row, POINT)  # type: ignore[arg-type]
    assert answer.label == label and answer.probability == pytest.approx(lime if label == "lime" else 1 - lime)
    value = answer.to_json()
    assert (value["label"], value["positive"], value["threshold"]) == (label, "lime", 0.2)
    assert value["top"][0]["probability"] == max(lime, 1 - lime), "the ranking stays one of probabilities"
    assert replace(answer, operating_point=None).to_json().keys() == {"image", "label", "probability", "top"}


@pytest.mark.parametrize(
    ("lime", "threshold", "told"), [(0.2, 0.05, "lime"), (0.02, 0.05, "red"), (0.8, 0.9, "unknown"), (0.8, 0.7, "lime")]
)
def test_what_must_not_be_missed_is_never_withheld_for_being_improbable(
    lime: float, threshold: float, told: str
) -> None:
    row = np.array([1 - lime, lime], np.float32)
    answer = Prediction("x", CARD.labels, row, replace(POINT, threshold=threshold))
    assert answer.told(0.5) == answer.to_json(min_confidence=0.5)["label"] == told
    assert answer.is_withheld(0.5) == (told == "unknown")
    assert replace(answer, operating_point=None).told(0.9) == ("red" if lime < 0.1 else "unknown")


def test_the_file_decides_one_by_one_and_in_batches(model: Path, reddish: Path) -> None:
    classifier = Classifier(model, threads=1)
    assert classifier.card.operating_point == POINT
    one = classifier.predict(reddish)
    assert one.label == "lime" and 0.2 < one.probability < 0.5
    for batch_size in (None, 2):
        answers = list(classifier.predict_many([reddish] * 3, batch_size=batch_size))
        assert [answer.label for answer in answers] == ["lime"] * 3


def test_confidence_withholds_the_other_class_and_never_the_one_that_must_not_be_missed(
    model: Path, reddish: Path
) -> None:
    answer = Classifier(model, threads=1).predict(reddish)
    assert answer.label == "lime" and answer.probability < 0.5
    assert answer.told(0.9) == answer.to_json(min_confidence=0.9)["label"] == "lime"
    other = replace(answer, operating_point=replace(POINT, threshold=0.3))
    assert (other.label, other.told(0.5), other.told(0.9)) == ("red", "red", "unknown")
    assert replace(answer, operating_point=None).told(0.9) == "unknown"


def test_a_file_without_a_threshold_answers_as_ever(tmp_path: Path, reddish: Path) -> None:
    plain = replace(CARD, operating_point=None)
    assert "operating_point" not in plain.to_json()
    path = write_tiny_model(tmp_path / "plain.onnx", CARD.labels, card=plain, sharpness=4.0)
    answer = Classifier(path, threads=1).predict(reddish)
    assert answer.label == "red" and "threshold" not in answer.to_json()


@pytest.mark.parametrize(
    "wrong",
    [
        {"positive": "blue"},
        {"positive": 3},
        {"threshold": 1.5},
        {"threshold": "0.5"},
        {"threshold": True},
        {"n": "many"},
    ],
)
def test_a_malformed_threshold_is_refused(wrong: dict[str, Any]) -> None:
    value = CARD.to_json()
    assert ModelCard.from_json(value, where="x") == CARD
    value["operating_point"] = {**value["operating_point"], **wrong}
    with pytest.raises(ModelError, match="malformed"):
        ModelCard.from_json(value, where="x")
    three = {**CARD.to_json(), "labels": ["red", "lime", "blue"]}
    with pytest.raises(ModelError, match="'operating_point' in its 'edge' metadata is malformed"):
        ModelCard.from_json(three, where="x")


def test_predict_says_label_probability_and_threshold(edge: Any, model: Path, reddish: Path) -> None:
    words = ("predict", "--model", model, "--image", reddish)
    (found,) = json.loads(edge(*words, "--json").stdout)["predictions"]
    assert (found["label"], found["positive"], found["threshold"]) == ("lime", "lime", 0.2)
    assert found["probability"] == pytest.approx(0.27, abs=0.01)
    saved = json.loads(edge(*words, "--jsonl", "--save-input", "seen.png").stdout)
    assert saved["label"] == "lime" and saved["threshold"] == 0.2
    assert "lime: lime from 20.00% on" in edge(*words).stdout
    assert "lime from a probability of 0.200 on" in edge("info", model).stdout
    folder = reddish.parent / "photos"
    for label, colour in (("red", (255, 0, 0)), ("lime", (255, 191, 0))):
        (folder / label).mkdir(parents=True)
        Image.new("RGB", (40, 40), colour).save(folder / label / "1.png")
    words = ("evaluate", "--model", model, "--data", folder)
    scored = json.loads(edge(*words, "--json").stdout)
    assert scored["accuracy"] == 0.5 and scored["operating_point"]["threshold"] == 0.2
    assert (scored["at_threshold"]["found"], scored["at_threshold"]["left"]) == (1, 1)
    assert "sensitivity 1.000" in edge(*words).stdout
