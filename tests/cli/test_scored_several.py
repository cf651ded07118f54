"""edge evaluate of models with several labels, or several tasks: tables, JSON, mistakes, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edge_cli.commands.evaluate import evaluate_
from edge_cli.several_scores import print_summary
from edge_cli.split_scores import headline_text
from edge_runtime import Classifier, DataError, Sample, UsageError, evaluate, evaluate_several
from tiny_model import write_multi_label_model, write_multi_task_model, write_tiny_model

COLOURS = {"yellow": "red|green", "blue": "blue", "black": "", "red": "red", "orange": "red", "white": "red|green|blue"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six pictures, a list of all their colours, and one of two tasks where one row lacks a label."""
    for name in COLOURS:
        Image.new("RGB", (40, 40), name).save(tmp_path / f"{name}.png")
    rows = "".join(f"{name}.png,{label}\n" for name, label in COLOURS.items())
    (tmp_path / "labels.csv").write_text(f"path,label\n{rows}")
    (tmp_path / "tasks.csv").write_text(
        "path,colour,light\nblue.png,blue,dark\nred.png,green,\nlime.png,green,dark\nblack.png,,bright\n"
    )
    Image.new("RGB", (40, 40), "lime").save(tmp_path / "lime.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_several_labels_are_scored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given: dict[str, Any] = {"model": write_multi_label_model(folder / "m.onnx"), "data": ["labels.csv"]}
    assert evaluate_(**given, json_=True, mistakes=Path("wrong.csv")) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    # Orange is answered red and green.
    assert (found["n"], found["exact_match"], found["f1_micro"]) == (6, pytest.approx(5 / 6), pytest.approx(16 / 17))
    assert found["split"] == "all" and found["map"] == pytest.approx(1.0)
    assert found["map_interval_95"][0] <= 1.0 == found["map_interval_95"][1]
    assert [row["label"] for row in found["per_class"]] == ["red", "green", "blue"]
    assert printed.err.endswith("wrong.csv: 1 image with a mistake, the surest first\n")
    (row,) = csv.DictReader(io.StringIO(Path("wrong.csv").read_text()))
    assert (row["path"], row["label"], row["answer"]) == ("orange.png", "red", "red|green")
    assert float(row["probability"]) + float(row["label_probability"]) == pytest.approx(1, abs=1e-5)
    assert evaluate_(**given) == 0
    table = capsys.readouterr().out
    assert "all mAP 100.0% (n 6, 95 % interval " in table and "every label right in 83.3% (43.6% to 97.0%)" in table
    assert "given from" in table and "0.250" in table and "calibration error" in table


def test_without_any_label_there_is_no_map(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "none.csv").write_text("path,label\nblack.png,\nblue.png,\n")
    given: dict[str, Any] = {"model": write_multi_label_model(folder / "m.onnx"), "data": ["none.csv"]}
    assert evaluate_(**given, json_=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["map"], found["map_interval_95"], found["exact_match"]) == (None, None, 0.5)
    assert evaluate_(**given) == 0
    assert "all mAP – (n 2), F1 0.000 over all answers" in capsys.readouterr().out
    assert headline_text({"val": {**found, "n": 2}}) == "val images with every label right 50.0% (n 2)"


def test_several_tasks_are_scored_each_on_its_own_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given: dict[str, Any] = {"model": write_multi_task_model(folder / "m.onnx"), "data": ["tasks.csv"]}
    assert evaluate_(**given, json_=True, mistakes=Path("wrong.csv")) == 0
    found = json.loads(capsys.readouterr().out)
    colour, light = found["tasks"]["colour"], found["tasks"]["light"]
    assert (found["n"], colour["n"], colour["correct"], light["n"], light["correct"]) == (4, 3, 2, 3, 2)
    assert found["mean_accuracy"] == pytest.approx(2 / 3) and colour["confusion"][1] == [1, 1, 0]
    rows = list(csv.DictReader(io.StringIO(Path("wrong.csv").read_text())))
    assert [(row["path"], row["colour"], row["colour_answer"], row["light"]) for row in rows] == [
        ("red.png", "green", "red", ""),
        ("black.png", "", "red", "bright"),
    ]
    assert evaluate_(**given) == 0
    table = capsys.readouterr().out
    assert "all mean accuracy of 2 tasks 66.7% (n 4)" in table and "colour accuracy 66.67% (2 of 3;" in table
    assert "true \\ predicted" in table and "light accuracy 66.67%" in table


def test_a_task_without_labelled_images_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("tasks.csv").write_text("path,colour,light\nblue.png,blue,\nred.png,red,\n")
    given: dict[str, Any] = {"model": write_multi_task_model(folder / "m.onnx"), "data": ["tasks.csv"]}
    assert evaluate_(**given) == 0
    assert "light: no image has a label for it" in capsys.readouterr().out


def test_what_does_not_go_with_several_labels_is_refused(folder: Path) -> None:
    model = write_multi_label_model(folder / "m.onnx")
    with pytest.raises(UsageError, match=r"m\.onnx is multi-label"):
        evaluate_(model=model, data=["labels.csv"], tta="flip")
    (folder / "photos" / "red").mkdir(parents=True)
    with pytest.raises(DataError):
        evaluate_(model=model, data=["photos"])
    with pytest.raises(UsageError, match="is a multi-label model"):
        evaluate(Classifier(model), folder, [Sample("red.png", 0)])
    with pytest.raises(UsageError, match="one label a picture"):
        evaluate_several(Classifier(write_tiny_model(folder / "one.onnx")), folder, [Sample("red.png", 0)])
    with pytest.raises(DataError, match="each of 2 tasks"):
        evaluate_several(Classifier(write_multi_task_model(folder / "t.onnx")), folder, [Sample("red.png", 0, (1,))])


def test_one_that_cannot_be_read_is_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("blue.png").write_bytes(b"\x89PNG")
    given: dict[str, Any] = {"model": write_multi_label_model(folder / "m.onnx"), "data": ["labels.csv"]}
    assert evaluate_(**given, json_=True) == 1
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["n"] == 5 and len(found["unreadable"]) == 1 and "left out: " in printed.err


def test_a_runs_scores_are_printed_by_kind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = Classifier(write_multi_label_model(folder / "m.onnx"))
    samples = [Sample("yellow.png", 0, (0, 1)), Sample("blue.png", 0, (2,))]
    figures = evaluate_several(labels, folder, samples).metrics.to_json()
    print_summary({"kind": "multi-label", "metrics": {"val": figures, "test": figures}, "headline": "test"})
    told = capsys.readouterr().out
    assert told.count("mAP 100.0% (n 2)") == 2 and told.count("given from") == 1
    assert headline_text({"test": figures}) == "test mAP 100.0% (n 2)"
    tasks = Classifier(write_multi_task_model(folder / "m.onnx"))
    samples = [Sample("blue.png", 0, (2, -1)), Sample("red.png", 0, (0, -1))]
    figures = evaluate_several(tasks, folder, samples).metrics.to_json()
    print_summary({"kind": "multi-task", "metrics": {"val": figures, "test": figures}, "headline": "test"})
    told = capsys.readouterr().out
    assert "val mean accuracy of 2 tasks 100.0% (n 2)\n  colour 100.0% (n 2), light: no labelled image\n" in told
    assert "colour accuracy 100.0% (n 2, 95 % interval 34.2% to 100.0%)" in told
    assert headline_text({"test": figures}) == "test mean accuracy of the tasks 100.0% (n 2)"
