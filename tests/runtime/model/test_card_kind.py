"""Cards of several labels a picture and of several tasks: what they say, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from edge_runtime import ModelCard, ModelError, Preprocessing
from edge_runtime.model.card import OperatingPoint
from edge_runtime.model.task import Task

SINGLE = ModelCard(
    labels=("ant", "bee"),
    preprocessing=Preprocessing(resize_px=256, height_px=224, width_px=224, interpolation="bilinear"),
    backbone="resnet18",
    strategy="fine-tune",
)
LABELS = replace(SINGLE, thresholds=(0.25, 0.5))
SPECIES, AGE = Task("species", ("ant", "bee"), 1.25), Task("age", ("old", "young"))
TASKS = replace(SINGLE, labels=("species: ant", "species: bee", "age: old", "age: young"), tasks=(SPECIES, AGE))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def read(value: dict[str, Any]) -> ModelCard:
    return ModelCard.from_json(value, where="m.onnx")


def test_a_card_of_several_labels_says_so_and_reads_back() -> None:
    value = LABELS.to_json()
    assert value["format_version"] == 3 and value["kind"] == "multi-label" and value["thresholds"] == [0.25, 0.5]
    assert "tasks" not in value and LABELS.kind == "multi-label" and LABELS.outputs == ("probabilities",)
    assert ModelCard.loads(LABELS.dumps(), where="m.onnx") == LABELS


def test_a_card_of_tasks_says_so_and_reads_back() -> None:
    value = TASKS.to_json()
    assert value["format_version"] == 3 and value["kind"] == "multi-task" and "thresholds" not in value
    assert value["tasks"] == [
        {"name": "species", "labels": ["ant", "bee"], "temperature": 1.25},
        {"name": "age", "labels": ["old", "young"], "temperature": 1.0},
    ]
    assert TASKS.kind == "multi-task" and TASKS.outputs == ("probabilities_species", "probabilities_age")
    assert ModelCard.loads(TASKS.dumps(), where="m.onnx") == TASKS


def test_a_card_of_one_label_is_what_it_was() -> None:
    value = SINGLE.to_json()
    assert value["format_version"] == 2 and not {"kind", "thresholds", "tasks"} & value.keys()
    assert SINGLE.kind == "single-label" and SINGLE.outputs == ("probabilities",)
    # An older edge knew no such keys, and passed over what it did not know.
    assert read({**value, "thresholds": [2], "tasks": "?"}) == SINGLE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": None}, "'kind'"),
        ({"kind": 7}, "'kind'"),
        ({"format_version": 2}, "'kind'"),
        ({"thresholds": []}, "'thresholds'"),
        ({"thresholds": [0.5]}, "'thresholds'"),
        ({"thresholds": [0.5, 1.5]}, "'thresholds'"),
        ({"thresholds": [0.5, "0.5"]}, "'thresholds'"),
        ({"thresholds": [0.5, True]}, "'thresholds'"),
        ({"thresholds": 0.5}, "'thresholds'"),
        ({"operating_point": {"positive": "bee", "threshold": 0.4}}, "decides in two ways"),
        ({"kind": "multi-task"}, "'tasks'"),
    ],
)
def test_malformed_thresholds_are_named_with_their_file(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError) as caught:
        read({**LABELS.to_json(), **change})
    assert "m.onnx" in caught.value.message and said in caught.value.message and caught.value.hint


@pytest.mark.parametrize(
    "tasks",
    [
        [],
        {},
        [SPECIES.to_json()],
        [AGE.to_json(), SPECIES.to_json()],
        [SPECIES.to_json(), SPECIES.to_json()],
        [SPECIES.to_json(), {**AGE.to_json(), "name": "age of it"}],
        [SPECIES.to_json(), {**AGE.to_json(), "name": 3}],
        [SPECIES.to_json(), {**AGE.to_json(), "labels": ["old"]}],
        [SPECIES.to_json(), {**AGE.to_json(), "labels": ["old", 4]}],
        [SPECIES.to_json(), {**AGE.to_json(), "labels": "oy"}],
        [SPECIES.to_json(), {**AGE.to_json(), "temperature": 0}],
        [SPECIES.to_json(), {**AGE.to_json(), "temperature": False}],
        [SPECIES.to_json(), "age"],
        [SPECIES.to_json()] * 100,
    ],
)
def test_malformed_tasks_are_named_with_their_file(tasks: Any) -> None:
    with pytest.raises(ModelError, match=r"m\.onnx.*'tasks'"):
        read({**TASKS.to_json(), "tasks": tasks})


def test_a_task_whose_labels_are_those_of_another_order_is_refused() -> None:
    with pytest.raises(ModelError, match="'tasks'"):
        read({**TASKS.to_json(), "labels": ["age: old", "age: young", "species: ant", "species: bee"]})


def test_a_kind_of_a_later_edge_is_refused_with_the_way_out() -> None:
    with pytest.raises(ModelError, match=r"m\.onnx is a model of another kind, 'detection'") as caught:
        read({**LABELS.to_json(), "kind": "detection"})
    assert caught.value.hint == "pip install --upgrade edge-vision"


def test_a_card_that_contradicts_itself_cannot_be_made() -> None:
    with pytest.raises(ModelError, match="decides in two ways"):
        replace(LABELS, operating_point=OperatingPoint("bee", 0.4, 0.9, 10, 5))
    with pytest.raises(ModelError, match="decides in two ways"):
        replace(TASKS, thresholds=(0.5,) * 4)
    with pytest.raises(ModelError, match="'tasks'"):
        replace(TASKS, labels=("ant", "bee", "old", "young"))


@given(st.sampled_from([LABELS, TASKS]), st.sampled_from(["kind", "thresholds", "tasks", "labels", "unlike"]), JSON)
@settings(max_examples=50)
def test_any_value_in_any_field_is_read_or_refused_in_words(card: ModelCard, key: str, value: Any) -> None:
    try:
        found = read({**card.to_json(), key: value})
    except ModelError as error:
        assert "m.onnx" in error.message
    else:
        assert found == read(found.to_json()), "what is accepted can be written again"
