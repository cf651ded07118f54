"""edge predict --out: a list of answers that is whole or not there, and what it goes with."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edge_cli.commands.predict import predict
from edge_runtime import EdgeError, Silence, UsageError
from edge_serve.labelling.label_server import open_page
from edge_serve.labelling.label_settings import LabelSettings
from tiny_model import write_tiny_model


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model, three photos, one of them broken, in two folders, and the process in the folder that holds them."""
    write_tiny_model(tmp_path / "model.onnx", labels=("red", "green", "blue"))
    for name, colour in (("photos/10", "blue"), ("photos/2", "red"), ("more/1", "lime")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 40), colour).save(tmp_path / f"{name}.png")
    (tmp_path / "photos/3.jpg").write_text("no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return [[row["path"], row["label"], row["answer"], row["error"][:9]] for row in csv.DictReader(file)]


def test_folders_patterns_and_lists_become_one_list_of_each_picture_once(edge: Any, home: Path) -> None:
    (home / "list").write_text("more/1.png\n./photos/2.png\n")
    done = edge("predict", "photos", "mo*/*.png", "--files-from", "list", "--model", "model.onnx", "--out", "a.csv")
    assert (done.returncode, done.stdout) == (1, "")
    told = done.stderr.splitlines()
    assert told[0].startswith("error: photos/3.jpg") and len(told) == 2
    assert told[1] == "a.csv: answers to 3 pictures, 1 more could not be classified"
    assert rows(home / "a.csv") == [
        ["photos/2.png", "", "red", ""],
        ["photos/3.jpg", "", "", "photos/3."],
        ["photos/10.png", "", "blue", ""],
        ["more/1.png", "", "green", ""],
    ]
    trained = edge("data", "check", "a.csv")
    assert trained.returncode == 2 and "error: a.csv: none of its 4 rows has a label" in trained.stderr


def test_the_old_list_stays_until_the_new_one_is_whole(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "lists").mkdir()
    out, model = home / "lists/a.csv", home / "model.onnx"
    assert predict(["more"], model=model, out=out, quiet=True) == 0
    before = out.read_bytes()
    assert rows(out) == [["../more/1.png", "", "green", ""]]

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("edge_cli.predict.answers_file.AnswersFile.fail", stopped)
        with pytest.raises(KeyboardInterrupt):
            predict(["photos"], model=model, out=out, quiet=True)
    assert out.read_bytes() == before and list(out.parent.iterdir()) == [out]
    assert predict(["photos/2.png"], model=model, out=out, top=1, min_confidence=1.0, quiet=True) == 0
    assert rows(out) == [["../photos/2.png", "", "", ""]]


def test_what_is_withheld_is_no_class_to_label(home: Path) -> None:
    assert predict(["photos/2.png"], model=home / "model.onnx", out=Path("a.csv"), min_confidence=1.0, quiet=True) == 0
    page = open_page(LabelSettings(home / "a.csv"), Silence())
    assert page.session.classes == ["blue", "green", "red"] and page.figures[0].answer == ""
    # A class that is called so is one.
    write_tiny_model(home / "named.onnx", labels=("unknown", "green", "blue"))
    assert predict(["photos/2.png"], model=home / "named.onnx", out=Path("b.csv"), quiet=True) == 0
    assert rows(home / "b.csv") == [["photos/2.png", "", "unknown", ""]]


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ({"csv_": True}, "instead of printing"),
        ({"json_": True}, "instead of printing"),
        ({"jsonl": True}, "instead of printing"),
        ({"watch": Path("photos")}, "no --watch"),
        ({"mjpeg": Path("-")}, "no --watch or --mjpeg"),
        ({"more": ["-"]}, "- has no name"),
        ({"out": Path("a.parquet")}, "answers are a CSV file"),
        ({"out": Path("photos/2.png")}, "answers are a CSV file"),
    ],
)
def test_what_it_does_not_go_with_is_said(home: Path, others: dict[str, Any], why: str) -> None:
    given: dict[str, Any] = {"more": ["photos"], "model": home / "model.onnx", "out": Path("a.csv"), **others}
    with pytest.raises(UsageError, match=why):
        predict(**given)
    assert not Path("a.csv").exists()


def test_nothing_is_written_where_no_name_stands_for_a_picture(home: Path) -> None:
    with pytest.raises(EdgeError, match="does not exist"):
        predict(["gone.png"], model=home / "model.onnx", out=Path("a.csv"))
    assert not Path("a.csv").exists()
