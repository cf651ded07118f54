"""edge evaluate --exact: the same file and images without int8 kernels, held against those of this machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from drifting_model import write_drifting_model
from edge_runtime import Classifier, OperatingPoint
from tiny_model import write_tiny_model


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Dark pictures in the folders of three labels, two of each."""
    colours = {"a": [(3, 0, 0), (5, 0, 0)], "b": [(0, 3, 0), (0, 7, 0)], "c": [(0, 0, 1), (0, 0, 3)]}
    for label, shades in colours.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index, shade in enumerate(shades):
            Image.new("RGB", (32, 32), shade).save(tmp_path / "photos" / label / f"{index}.png")
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("largest", "said"),
    [
        (127, ["weights of full range", "export it again with edge export"]),
        (64, ["weights of 7 bits", "a few of its sums round otherwise"]),
    ],
)
def test_a_file_that_drifts_is_told_of_and_ends_with_1(
    edge: Any, photos: Path, tmp_path: Path, largest: int, said: list[str]
) -> None:
    model = write_drifting_model(tmp_path / "old.onnx", largest=largest)
    words = ("evaluate", "--model", model, "--data", photos, "--split", "all", "--exact")
    done = edge(*words)
    assert done.returncode == 1, done.stderr
    assert "accuracy 100.00% by this machine's kernels, 83.33% in exact arithmetic" in done.stdout
    assert "top-1 agreement 83.33%, max |Δp| 0.45" in done.stdout and "on 6 images" in done.stdout
    assert all(words in done.stderr for words in said)
    assert "error: " in done.stderr and "answers otherwise on this processor" in done.stderr
    found = json.loads(edge(*words, "--json").stdout)
    assert found["exact"]["holds"] is False and found["exact"]["n"] == 6
    assert found["exact"]["accuracy"] == found["accuracy"] == 1.0


def test_a_file_that_does_not_drift_holds(edge: Any, photos: Path, tmp_path: Path) -> None:
    for model in (
        write_drifting_model(tmp_path / "new.onnx", largest=64, zero=2),
        write_tiny_model(tmp_path / "float.onnx"),
    ):
        done = edge("evaluate", "--model", model, "--data", photos, "--split", "all", "--exact")
        assert done.returncode == 0, done.stderr
        assert "top-1 agreement 100.00%" in done.stdout
    assert "no int8 weights" in done.stderr


def test_without_the_flag_nothing_is_said_of_it(edge: Any, photos: Path, tmp_path: Path) -> None:
    model = write_drifting_model(tmp_path / "old.onnx")
    done = edge("evaluate", "--model", model, "--data", photos, "--split", "all", "--json")
    assert done.returncode == 0 and "exact" not in json.loads(done.stdout)


def test_where_a_threshold_decides_both_are_compared_at_it(edge: Any, photos: Path, tmp_path: Path) -> None:
    """From a probability of almost nothing on all six pictures are taken for the first label, which two of them are."""
    model = tmp_path / "two.onnx"
    card = Classifier(write_tiny_model(model, ("a", "b"))).card
    write_tiny_model(
        model, card=replace(card, operating_point=OperatingPoint("a", 1e-9, 0.95, 6, 2)), labels=("a", "b")
    )
    for name in ("0.png", "1.png"):
        (photos / "c" / name).rename(photos / "b" / f"c{name}")
    (photos / "c").rmdir()
    words = ("evaluate", "--model", model, "--data", photos, "--split", "all", "--exact")
    found = json.loads(edge(*words, "--json").stdout)
    assert found["exact"]["accuracy"] == found["exact"]["exact_accuracy"] == 2 / 6 != found["accuracy"]
    assert found["exact"]["at_threshold"] == found["at_threshold"] and found["at_threshold"]["alarmed"] == 4
    assert "in exact arithmetic: sensitivity 1.000" in edge(*words).stdout
