"""The model card: what is written is read, and a field that is missing or odd is named, never a traceback."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from edge_runtime import ModelCard, ModelError, Preprocessing
from edge_runtime.model.card import FORMAT_VERSION

CONTRACT = Preprocessing(resize_px=256, height_px=224, width_px=192, interpolation="bicubic", background=(0, 128, 255))
CARD = ModelCard(
    labels=("bee", "ant", "Ameise “ä”", "蜂"),
    preprocessing=CONTRACT,
    backbone="resnet18",
    strategy="fine-tune",
    temperature=1.25,
    normalization={"mean": [0.1, 0.2, 0.3], "std": [1.0, 1.0, 1.0]},
    metrics={"val": {"accuracy": 0.5, "n": 10}},
    parity={"max_difference": 1e-6, "images": 3},
    data={"name": "insects", "limit": None},
    versions={"edge": "0.1.0"},
    created="2026-01-01T00:00:00.000000+00:00",
)
REQUIRED = ["format_version", "labels", "preprocessing", "backbone", "strategy", "precision", "temperature"]
OPTIONAL = ["normalization", "metrics", "parity", "data", "versions", "created"]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def read(value: object) -> ModelCard:
    return ModelCard.loads(json.dumps(value), where="m.onnx")


def test_what_is_written_is_read() -> None:
    text = CARD.dumps()
    assert ModelCard.loads(text, where="m.onnx") == CARD
    assert "\n" not in text and "蜂" in text
    assert next(iter(json.loads(text))) == "format_version"


def test_every_field_of_the_specification_is_written() -> None:
    assert set(CARD.to_json()) == {*REQUIRED, *OPTIONAL}
    assert CARD.to_json()["format_version"] == FORMAT_VERSION == 2


@given(
    st.lists(st.text(), min_size=1, max_size=5, unique=True),
    st.floats(0.01, 100),
    st.dictionaries(st.text(), st.dictionaries(st.text(), st.integers() | st.text() | st.none())),
)
def test_any_labels_and_figures_make_the_round_trip(
    labels: list[str], temperature: float, metrics: dict[str, dict[str, Any]]
) -> None:
    card = replace(CARD, labels=tuple(labels), temperature=temperature, metrics=metrics)
    assert ModelCard.loads(card.dumps(), where="m.onnx") == card


def test_a_name_that_is_not_utf8_makes_the_round_trip_as_plain_text() -> None:
    card = replace(CARD, data={"name": "F\udcf6tos"})
    assert card.dumps().encode("utf-8")
    assert ModelCard.loads(card.dumps(), where="m.onnx") == card


def test_no_card_is_written_that_json_cannot_hold() -> None:
    with pytest.raises(ValueError, match="JSON"):
        replace(CARD, metrics={"val": {"accuracy": float("nan")}}).dumps()


def test_unknown_keys_are_ignored() -> None:
    assert read({**CARD.to_json(), "licence": "MIT", "ensemble": [1]}) == CARD


@pytest.mark.parametrize("key", OPTIONAL)
def test_what_is_for_information_may_be_absent(key: str) -> None:
    value = CARD.to_json()
    del value[key]
    assert getattr(read(value), key) in ({}, "")


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_field_is_named(key: str) -> None:
    value = CARD.to_json()
    del value[key]
    with pytest.raises(ModelError, match=rf"m\.onnx: its 'edge' metadata lacks '{key}'"):
        read(value)


def test_a_newer_format_is_refused_with_the_way_out() -> None:
    with pytest.raises(ModelError, match=r"m\.onnx has model format 4; this edge reads up to 3") as caught:
        # A newer format may have renamed everything else.
        read({"format_version": 4})
    assert caught.value.hint == "pip install --upgrade edge-vision"


def old_card(**changes: object) -> dict[str, Any]:
    """A card of the first format, which knew nothing of colour profiles."""
    value = {**CARD.to_json(), "format_version": 1}
    value["preprocessing"] = {**value["preprocessing"], **changes}
    return value


def test_a_file_of_the_first_format_looks_at_no_colour_profile() -> None:
    value = old_card()
    del value["preprocessing"]["to_srgb"]
    assert CARD.preprocessing.to_srgb
    card = read(value)
    assert card == replace(CARD, preprocessing=replace(CARD.preprocessing, to_srgb=False))
    # The key meant nothing then.
    assert read(old_card(to_srgb=True)) == card == read(old_card(to_srgb="?"))
    # Written anew, as by a lowering, it says so of itself.
    again = card.to_json()
    assert again["format_version"] == 2 and again["preprocessing"]["to_srgb"] is False
    assert read(again) == card


def test_the_second_format_says_what_becomes_of_colour_profiles() -> None:
    value = old_card() | {"format_version": 2}
    del value["preprocessing"]["to_srgb"]
    with pytest.raises(ModelError, match=r"m\.onnx: the model's preprocessing lacks to_srgb"):
        read(value)


@pytest.mark.parametrize("number", [10**400, -(10**400)])
def test_a_number_that_no_float_can_be_is_refused_wherever_it_stands(number: int) -> None:
    text = json.dumps({**CARD.to_json(), "metrics": {"val": {"accuracy": number}}})
    with pytest.raises(ModelError, match=r"m\.onnx: .* is not a JSON number") as caught:
        ModelCard.loads(text, where="m.onnx")
    assert len(caught.value.message) < 100


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format_version", "1"),
        ("format_version", 0),
        ("format_version", True),
        ("format_version", 1.0),
        ("labels", []),
        ("labels", "bee"),
        ("labels", ["bee", 2]),
        ("labels", {"bee": 0}),
        ("preprocessing", None),
        ("backbone", None),
        ("strategy", 3),
        ("precision", []),
        ("temperature", "1"),
        ("temperature", 0),
        ("temperature", -1.5),
        ("temperature", False),
        ("metrics", []),
        ("metrics", {"val": 0.9}),
        ("parity", 0),
        ("created", 2026),
    ],
)
def test_a_malformed_field_is_named(key: str, value: object) -> None:
    with pytest.raises(ModelError) as caught:
        read({**CARD.to_json(), key: value})
    assert "m.onnx" in caught.value.message and key in caught.value.message
    assert "export it again" in caught.value.hint


def test_a_label_that_stands_twice_is_named() -> None:
    with pytest.raises(ModelError, match=r"m\.onnx has the label 'bee' twice"):
        read({**CARD.to_json(), "labels": ["bee", "ant", "bee"]})
    with pytest.raises(ModelError, match="the label 'ant' twice"):
        replace(CARD, labels=("ant", "bee", "ant"))


@pytest.mark.parametrize(
    ("key", "value"), [("height", 0), ("resize_short_side", "big"), ("interpolation", "nearest"), ("crop", "random")]
)
def test_a_preprocessing_this_edge_does_not_do_is_named_with_its_file(key: str, value: object) -> None:
    steps = {**CARD.to_json()["preprocessing"], key: value}
    with pytest.raises(ModelError, match=rf"m\.onnx: .*{key}"):
        read({**CARD.to_json(), "preprocessing": steps})


@given(st.sampled_from([*REQUIRED, *OPTIONAL]), JSON)
def test_any_value_in_any_field_is_read_or_refused_in_words(key: str, value: Any) -> None:
    try:
        card = read({**CARD.to_json(), key: value})
    except ModelError as error:
        assert "m.onnx" in error.message
    else:
        assert card == read(card.to_json()), "what is accepted can be written again"


@given(st.sampled_from([None, *CARD.to_json()["preprocessing"]]), JSON)
def test_any_value_in_the_preprocessing_is_read_or_refused_in_words(key: str | None, value: Any) -> None:
    steps = value if key is None else {**CARD.to_json()["preprocessing"], key: value}
    try:
        read({**CARD.to_json(), "preprocessing": steps})
    except ModelError as error:
        assert "m.onnx" in error.message


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", "null", "3", '"card"', "{'labels': 1}", "[" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000],
)
def test_text_that_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match=r"m\.onnx: its 'edge' metadata"):
        ModelCard.loads(text, where="m.onnx")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_no_json_document_could_repeat_is_refused(number: str) -> None:
    text = CARD.dumps().replace("1e-06", number)
    assert number in text
    with pytest.raises(ModelError, match=f"{number} is not a JSON number"):
        ModelCard.loads(text, where="m.onnx")
