"""edge predict --reject-unlike: `unknown` in every form of output, and what it costs on stderr."""

from __future__ import annotations

import csv
import io
import json
from importlib import import_module
from itertools import islice
from pathlib import Path

import pytest
import typer
from PIL import Image

from edge_cli.flags import said_as_flags
from edge_cli.predict.watch import _line as watched_line
from edge_runtime import Classifier, Journal, Sighting, UsageError, watch
from tiny_model import write_tiny_model
from unlike_model import write_unlike_model


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(write_unlike_model(tmp_path / "model.onnx"))


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    paths = [tmp_path / "red.png", tmp_path / "white.png"]
    for path in paths:
        Image.new("RGB", (40, 40), path.stem).save(path)
    return [str(path) for path in paths]


def edge(*words: str) -> int:
    app = import_module(f"edge_cli.commands.{words[0]}").app
    return int(typer.main.get_command(app).main(list(words[1:]), standalone_mode=False, prog_name="edge"))


def test_every_form_of_output_says_unknown(model: str, pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("predict", *pictures, "--model", model, "--reject-unlike", "5%")
    assert edge(*asked, "--jsonl") == 0
    said = capsys.readouterr()
    answers = [json.loads(line) for line in said.out.splitlines()]
    assert [(each["label"], each["unlike"], each["unlikeness"]) for each in answers] == [
        ("red", False, 0.84),
        ("unknown", True, 0.99),
    ]
    assert answers[1]["top"][0]["label"] == "red"
    assert "at most 5.00% of those are refused, too; of 99 validation pictures 4.04% were" in said.err
    assert edge(*asked, "--csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["label"] for row in rows] == ["red", "unknown"]
    assert edge(*asked) == 0
    assert "  unknown: further from training than 99.00% of known pictures\n" in capsys.readouterr().out


def test_a_stream_and_a_single_picture_are_rejected_too(
    model: str, pictures: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.BytesIO()
    for picture in pictures:
        Image.open(picture).save(stream, "JPEG")
    (tmp_path / "camera.mjpeg").write_bytes(stream.getvalue())
    asked = ("--model", model, "--reject-unlike", "0.05")
    assert edge("predict", "--mjpeg", str(tmp_path / "camera.mjpeg"), *asked) == 0
    frames = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(frame["label"], frame["unlike"]) for frame in frames] == [("red", False), ("unknown", True)]
    assert all(0 < frame["unlikeness"] < 1 for frame in frames)
    seen = tmp_path / "seen.png"
    assert edge("predict", pictures[1], *asked, "--save-input", str(seen), "--jsonl") == 0
    assert json.loads(capsys.readouterr().out)["label"] == "unknown" and seen.is_file()


def test_a_watched_folders_lines_say_it_as_well(model: str, pictures: list[str], tmp_path: Path) -> None:
    folder = Path(pictures[0]).parent
    told = []
    for share in (0.05, None):
        classifier = Classifier(model, threads=1, reject_unlike=share, with_distance=True)
        with Journal(tmp_path / f"{share}.jsonl", folder) as journal:
            seen = watch(classifier, folder, journal, interval_s=0.01)
            sightings = [each for each in islice(seen, 2) if isinstance(each, Sighting)]
        told.append([json.loads(watched_line(each, None, jsonl=True)) for each in sightings])
    assert [(row["label"], row["unlike"], row["unlikeness"]) for row in told[0]] == [
        ("red", False, 0.84),
        ("unknown", True, 0.99),
    ]
    assert not [row for row in told[1] if {"unlike", "unlikeness", "unmoved", "distance"} & row.keys()]


def test_without_the_flag_nothing_is_rejected(
    model: str, pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge("predict", *pictures, "--model", model, "--jsonl") == 0
    said = capsys.readouterr()
    assert [json.loads(line)["label"] for line in said.out.splitlines()] == ["red", "red"]
    assert "unlike" not in said.out and not said.err


def test_info_states_method_and_costs(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert edge("info", model) == 0
    said = capsys.readouterr().out
    assert "distance to the nearest of 4 centres of 50 training embeddings" in said
    assert "refused of 99 validation pictures: 1%: 0.0%, 2%: 1.0%, 5%: 4.0%, 10%: 9.1%" in said
    assert edge("info", model, "--json") == 0
    assert json.loads(capsys.readouterr().out)["card"]["unlike"]["n"] == 99


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("red.png", "--reject-unlike", "0"), "--reject-unlike 0: a percentage is needed"),
        (("red.png", "--reject-unlike", "0.1%"), r"99 validation pictures tell shares from 0\.0100 on"),
        (("--explain", "x.png", "--reject-unlike", "5%"), "no --reject-unlike"),
        (
            ("red.png", "--reject-unlike", "5%", "--labels", "x.txt", "--preprocess", "imagenet"),
            "--reject-unlike is for files of edge export",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    model: str, pictures: list[str], words: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(pictures[0]).parent)
    with pytest.raises(UsageError, match=message):
        edge("predict", *words, "--model", model)


def test_a_file_without_it_says_how_to_get_it(tmp_path: Path, pictures: list[str]) -> None:
    plain = str(write_tiny_model(tmp_path / "plain.onnx"))
    with pytest.raises(UsageError, match="does not say what is unlike training") as caught:
        edge("predict", pictures[0], "--model", plain, "--reject-unlike", "5%")
    assert said_as_flags(caught.value.hint) == "export it again with --with-unlike"
