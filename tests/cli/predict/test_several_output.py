"""edge predict of models with several labels, or several tasks: every form of output, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import typer
from PIL import Image

from edge_cli.flags import said_as_flags
from edge_cli.predict import watch as watching
from edge_cli.predict.several_output import TasksCsv
from edge_runtime import Classifier, Journal, Sighting, UsageError, watch
from tiny_model import write_multi_label_model, write_multi_task_model

Write = Callable[[Path], Path]


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    paths = [tmp_path / "yellow.png", tmp_path / "blue.png", tmp_path / "black.png"]
    for path in paths:
        Image.new("RGB", (40, 40), path.stem).save(path)
    return [str(path) for path in paths]


@pytest.fixture
def labels(tmp_path: Path) -> str:
    return str(write_multi_label_model(tmp_path / "labels.onnx"))


@pytest.fixture
def tasks(tmp_path: Path) -> str:
    return str(write_multi_task_model(tmp_path / "tasks.onnx"))


def predict(*words: str) -> int:
    app = import_module("edge_cli.commands.predict").app
    return int(typer.main.get_command(app).main(list(words), standalone_mode=False, prog_name="edge"))


def refused(*words: str) -> str:
    with pytest.raises(UsageError) as caught:
        predict(*words)
    assert caught.value.exit_code == 2
    return said_as_flags(str(caught.value))


def test_a_table_marks_the_labels_that_are_given(
    labels: str, pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(*pictures, "--model", labels, "--top", "1") == 0
    yellow, blue, black = capsys.readouterr().out.split(".png\n")[1:]
    assert yellow.splitlines()[:2] == [
        "  ✓ red     98.20%  from  50.00%  ████████████████████",
        "  ✓ green   98.20%  from  25.00%  ████████████████████",
    ]
    assert "  ✓ blue   98.20%  from  90.00%" in blue and "red" not in blue
    assert black.splitlines() == [
        "  no label: none reaches the probability it is given from",
        "    red    1.80%  from  50.00%",
    ]


def test_a_table_has_each_task(tasks: str, pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(pictures[1], "--model", tasks, "--top", "1", "--min-confidence", "0.99") == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  colour",
        "    blue   99.93%  ████████████████████",
        "  light",
        "    unknown: no label reaches 99.00%",
        "    dark   79.14%  ████████████████",
    ]


def test_json_and_json_lines(labels: str, tasks: str, pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(*pictures, "--model", labels, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [[row["label"] for row in each["labels"]] for each in document["predictions"]] == [
        ["red", "green"],
        ["blue"],
        [],
    ]
    assert document["predictions"][0]["top"][2]["threshold"] == 0.9
    assert predict(*pictures, "--model", tasks, "--jsonl", "--top", "1", "--min-confidence", "0.9") == 0
    answers = [json.loads(line)["tasks"] for line in capsys.readouterr().out.splitlines()]
    assert [(each["colour"]["label"], each["light"]["label"]) for each in answers] == [
        ("unknown", "unknown"),
        ("blue", "unknown"),
        ("unknown", "dark"),
    ]
    assert answers[0]["light"]["top"] == [{"label": "bright", "probability": answers[0]["light"]["probability"]}]


def test_csv_of_labels(labels: str, pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(*pictures, "--model", labels, "--csv", "--top", "1") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(rows[0]) == ["image", "label", "probability", "label_1", "probability_1"]
    assert [(row["label"], row["probability"]) for row in rows] == [
        ("red|green", "0.982014|0.982014"),
        ("blue", "0.982014"),
        ("", ""),
    ]
    assert rows[2]["label_1"] == "red"


def test_csv_of_tasks(tasks: str, pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(*pictures, "--model", tasks, "--csv", "--min-confidence", "0.9") == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["image", "colour", "colour_probability", "light", "light_probability"]
    assert [(row[1], row[3]) for row in rows[1:]] == [("unknown", "unknown"), ("blue", "unknown"), ("unknown", "dark")]
    assert predict(pictures[1], "--model", tasks, "--csv", "--top", "9") == 0
    head, row = csv.reader(io.StringIO(capsys.readouterr().out))
    assert head[3:5] == ["colour_1", "colour_probability_1"] and len(head) == len(row) == 1 + 2 + 6 + 2 + 4
    assert row[head.index("light_2")] == "bright"


def test_a_table_of_no_answers_has_its_header(tasks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    assert predict(str(tmp_path / "broken.png"), "--model", tasks, "--csv", "--top", "1") == 1
    assert capsys.readouterr().out.startswith("image,colour,colour_probability,colour_1,colour_probability_1,light,")


def test_tasks_whose_columns_would_have_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="two columns image"):
        TasksCsv(0, 0.0, {"image": 2, "age": 2})
    with pytest.raises(UsageError, match="two columns age_probability"):
        TasksCsv(0, 0.0, {"age": 2, "age_probability": 2})


def test_a_list_to_label_has_the_labels_given_and_how_near_a_threshold_is(
    labels: str, tasks: str, pictures: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "answers.csv"
    assert predict(*pictures, "--model", labels, "--out", str(out), "--top", "1") == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [(row["path"], row["label"], row["answer"]) for row in rows] == [
        ("yellow.png", "", "red|green"),
        ("blue.png", "", "blue"),
        ("black.png", "", ""),
    ]
    # The blue one is 8.2 points above its threshold, its red and its green far below theirs.
    assert float(rows[1]["margin"]) == pytest.approx(0.0820, abs=1e-3)
    assert float(rows[1]["entropy"]) == pytest.approx(3 * 0.0901, abs=1e-3)
    assert "this model has several tasks (use --csv)" in refused(
        *pictures, "--model", tasks, "--out", str(tmp_path / "o.csv")
    )
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize("write", [write_multi_label_model, write_multi_task_model])
def test_what_speaks_of_one_label_is_refused(write: Write, pictures: list[str], tmp_path: Path) -> None:
    model = str(write(tmp_path / "m.onnx"))
    asked = refused("--watch", str(tmp_path), "--move-to", str(tmp_path / "sorted/{label}"), "--model", model)
    assert (
        "--move-to sorts by one label, and this is a multi-" in asked and not (tmp_path / ".edge-watch.jsonl").exists()
    )
    asked = refused(*pictures, "--model", model, "--reject-unlike", "5%")
    assert "--reject-unlike is for those of one label a picture" in asked


@pytest.mark.parametrize(
    ("write", "line", "value"),
    [
        (
            write_multi_label_model,
            "yellow.png  red  98.20%, green  98.20%",
            {"labels": ["red", "green"]},
        ),
        (
            write_multi_task_model,
            "yellow.png  colour: red  49.99%, light: bright  79.14%",
            {"tasks": ["colour", "light"]},
        ),
    ],
)
def test_a_watched_folder_tells_all_that_is_given(
    write: Write, line: str, value: dict[str, list[str]], pictures: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "landing"
    folder.mkdir()
    classifier = Classifier(write(tmp_path / "m.onnx"), threads=1)
    Path(pictures[0]).rename(folder / "yellow.png")
    with Journal(folder / ".journal", folder) as journal:
        sighting = next(iter(watch(classifier, folder, journal, interval_s=0.01)))
    assert isinstance(sighting, Sighting)
    assert watching._line(sighting, None, jsonl=False) == f"{folder}/{line}"
    told = json.loads(watching._line(sighting, None, jsonl=True))
    (key,) = value
    assert [each["label"] if key == "labels" else each for each in told[key]] == value[key]
    assert told["image"] == f"{folder}/yellow.png" and told["moved_to"] is None and told["again"] is False
    # Killed before it was done: the next one tells the same again.
    with Journal(folder / ".journal", folder) as journal:
        assert next(iter(watch(classifier, folder, journal, interval_s=0.01))) == replace(sighting, again=True)
