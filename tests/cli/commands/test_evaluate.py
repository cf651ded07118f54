"""edge evaluate: the figures of an exported file on folders of labelled images, for people and programs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edge_cli.commands.evaluate import evaluate_
from edge_cli.several_scores import print_task, tasks_line
from edge_cli.split_scores import threshold_line
from edge_runtime import EdgeError
from tiny_model import write_multi_label_model, write_tiny_model


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two red pictures of a, one green and one blue of b, none of c."""
    folder = tmp_path / "photos"
    for name, colour in (("a/1", "red"), ("a/2", "red"), ("b/1", "lime"), ("b/2", "blue")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), colour).save(folder / f"{name}.png")
    return folder


def test_all_figures_are_said_and_given(edge: Any, photos: Path, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model.onnx")
    words = ("evaluate", "--model", "model.onnx", "--data", photos)
    done = edge(*words)
    assert done.returncode == 0, done.stderr
    assert "all accuracy 75.00% (3 of 4;" in done.stdout and "balanced accuracy 0.750, macro F1 0.556" in done.stdout
    assert "no image of c" in done.stdout
    found = json.loads(edge(*words, "--json").stdout)
    assert (found["balanced_accuracy"], found["absent"]) == (0.75, ["c"])
    assert {"auroc", "average_precision", "log_loss", "brier", "macro_f1"} < found.keys()
    a, b, c = found["per_class"]
    assert (a["recall"], a["specificity"], a["auroc"], c["recall"]) == (1, 1, 1, None)
    assert b["recall_interval_95"] == pytest.approx([0.0945, 0.9055], abs=1e-3) and c["specificity"] == 0.75


def test_mistakes_are_listed_and_no_list_that_is_there_is_replaced(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {"model": write_tiny_model(tmp_path / "model.onnx"), "data": ["photos"], "json_": True}
    assert evaluate_(**given, mistakes=Path("m.csv")) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["correct"] == 3 and printed.err.endswith("m.csv: 1 mistake, the surest first\n")
    head, row = Path("m.csv").read_text().splitlines()
    assert head == "path,label,answer,probability,label_probability" and row.startswith("photos/b/2.png,b,c,0.99")
    for name, why in (("m.csv", "is there already"), ("m.json", "is no .csv"), ("gone/m.csv", "is not a folder")):
        with pytest.raises(EdgeError, match=why):
            evaluate_(**given, mistakes=Path(name))
    assert photos.is_dir() and Path("m.csv").read_text().splitlines() == [head, row]


def test_a_name_that_no_list_can_hold_costs_its_row_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 40), "blue").save(photos / "b" / os.fsdecode(b"\xff.png"))
    given: dict[str, Any] = {"model": write_tiny_model(tmp_path / "model.onnx"), "data": ["photos"], "json_": True}
    assert evaluate_(**given, mistakes=Path("m.csv")) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["correct"] == 3 and printed.err.endswith("m.csv: 1 mistake, the surest first\n")
    assert r"error: 'b/\udcff.png': the name is not valid UTF-8" in printed.err
    assert [line.split(",")[0] for line in Path("m.csv").read_text().splitlines()] == ["path", "photos/b/2.png"]


def test_classes_whose_names_look_like_markup_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ("dog [large]", "dog [small]", "a[/b]")
    rows = []
    for number, (label, colour) in enumerate(zip(labels, ("red", "lime", "blue"), strict=True)):
        Image.new("RGB", (40, 40), colour).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{label}\n")
    (tmp_path / "list.csv").write_text("".join(["path,label\n", *rows]))
    monkeypatch.chdir(tmp_path)
    assert evaluate_(model=write_tiny_model(tmp_path / "model.onnx", labels=labels), data=["list.csv"]) == 0
    (heading,) = [line for line in capsys.readouterr().out.splitlines() if "true \\ predicted" in line]
    assert " ".join(heading.split()) == "true \\ predicted dog [large] dog [small] a[/b]"


def test_a_strangers_labels_command_no_terminal(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    hostile, shown = "c\x1b[31m\nd", r"c\x1b[31m\nd"
    (tmp_path / "several.csv").write_text("path,label\nphotos/a/1.png,a\nphotos/b/1.png,b\n")
    several = write_multi_label_model(tmp_path / "several.onnx", labels=("a", "b", hostile))
    for model, data in ((write_tiny_model(tmp_path / "m.onnx", ("a", "b", hostile)), photos), (several, "several.csv")):
        assert evaluate_(model=model, data=[str(data)]) == 0
        said = capsys.readouterr()
        assert "\x1b" not in said.out + said.err and said.out.count(shown) >= 2
    print_task(hostile, {"n": 0})
    point = {"positive": hostile, "threshold": 0.1, "min_sensitivity": 0.95, "n": 9, "positives": 3}
    told = capsys.readouterr().out + tasks_line({"tasks": {hostile: {"n": 0}}}) + threshold_line(point, {})
    assert "\x1b" not in told and told.count(shown) == 4
