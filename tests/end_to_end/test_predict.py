"""edge predict, through real processes: what it takes, what it prints, and what it says of what it cannot read."""

from __future__ import annotations

import csv
import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tiny_model import write_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx", labels=("red", "green", "blue"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """photos/{2,10}.png and photos/inner/1.JPG, with what a folder of photos holds besides."""
    inner = tmp_path / "photos" / "inner"
    inner.mkdir(parents=True)
    for name, colour in (("10.png", "blue"), ("2.png", "red"), ("inner/1.JPG", "lime")):
        Image.new("RGB", (40, 40), colour).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    (tmp_path / "photos" / ".2.png").write_text("what macOS leaves")
    return tmp_path / "photos"


def feed(folder: Path, data: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "edge_cli", "predict", "--model", "model.onnx", *words]
    return subprocess.run(command, input=data, cwd=folder, capture_output=True, check=False)


def rows(stdout: str | bytes) -> list[tuple[str, str]]:
    return [(row["image"], row["label"]) for row in map(json.loads, stdout.splitlines())]


ALL = [("photos/2.png", "red"), ("photos/10.png", "blue"), ("photos/inner/1.JPG", "green")]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["photos"], ALL),
        (["photos/*.png"], ALL[:2]),
        (["photos/**"], ALL),
        (["**/1.JPG", "photos/2.png"], [ALL[2], ALL[0]]),
        (["photos/2.png", "photos/2.png"], [ALL[0], ALL[0]]),
        (["./photos/inner"], [("./photos/inner/1.JPG", "green")]),
    ],
)
@pytest.mark.usefixtures("photos")
def test_folders_and_patterns_in_the_order_given(edge: Any, model: Path, names: list[str], expected: list[Any]) -> None:
    done = edge("predict", *names, "--model", model, "--jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(done.stdout) == expected


def test_a_file_whose_name_is_a_pattern_is_that_file(edge: Any, model: Path, photos: Path) -> None:
    (photos / "2.png").rename(photos / "[x]*.png")
    done = edge("predict", "photos/[x]*.png", "--model", model, "--jsonl")
    assert rows(done.stdout) == [("photos/[x]*.png", "red")]


def test_bytes_on_standard_input_among_files(model: Path, photos: Path) -> None:
    done = feed(model.parent, (photos / "10.png").read_bytes(), "photos/2.png", "-", "--jsonl")
    assert rows(done.stdout) == [("photos/2.png", "red"), ("-", "blue")]
    alone = feed(model.parent, (photos / "10.png").read_bytes(), "-", "--jsonl")
    assert rows(alone.stdout) == [("-", "blue")]
    empty = feed(model.parent, b"", "-", "--jsonl")
    assert empty.returncode == 1 and empty.stderr.startswith(b"error: ") and b"Traceback" not in empty.stderr


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_a_list_of_names(model: Path, photos: Path, end: bytes) -> None:
    data = end.join(os.fsencode(name) for name, _ in ALL) + end
    (model.parent / "list").write_bytes(data)
    assert photos.is_dir()
    assert rows(feed(model.parent, b"", "--files-from", "list", "--jsonl").stdout) == ALL
    assert rows(feed(model.parent, data, "--files-from", "-", "--jsonl").stdout) == ALL


def test_each_name_of_a_growing_list_is_answered_before_the_next_is_written(model: Path, photos: Path) -> None:
    words = [sys.executable, "-m", "edge_cli", "predict", "--model", "model.onnx", "--files-from", "-", "--jsonl"]
    with subprocess.Popen(words, cwd=model.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None and running.stdout is not None and photos.is_dir()
        for name, label in ALL:
            running.stdin.write(f"{name}\n".encode())
            running.stdin.flush()
            assert rows(running.stdout.readline()) == [(name, label)]
        running.stdin.write(b"photos/2.png\n" * 500)
        running.stdin.close()
        assert rows(running.stdout.read()) == [ALL[0]] * 500
    assert running.returncode == 0


@pytest.mark.parametrize("more", [(), ("photos/2.png",)])
@pytest.mark.usefixtures("photos")
def test_what_a_growing_list_names_in_vain_is_said_before_the_next_is_written(model: Path, more: Sequence[str]) -> None:
    words = [sys.executable, "-m", "edge_cli", "predict", "--model", "model.onnx", "--files-from", "-", "--jsonl"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=model.parent, stdin=pipe, stdout=pipe, stderr=pipe) as running:
        assert running.stdin is not None and running.stdout is not None and running.stderr is not None
        running.stdin.write(b"gone.png\n")
        running.stdin.flush()
        assert select.select([running.stderr], [], [], 60)[0], "it waits for a name that is a picture's"
        assert running.stderr.readline().startswith(b"error: gone.png does not exist")
        running.stdin.write("".join(f"{name}\n" for name in more).encode())
        running.stdin.close()
        answered, said = running.stdout.read(), running.stderr.read()
    assert [name for name, _ in rows(answered)] == [*more]
    assert running.returncode == (1 if more else 2)
    assert said.startswith(b"" if more else b"error: none of the names stands for a picture")


@pytest.mark.usefixtures("photos")
def test_what_cannot_be_read_is_said_and_the_rest_goes_on(edge: Any, model: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_text("no picture")
    (tmp_path / "empty").mkdir()
    names = ["gone.png", "photos/2.png", "broken.jpg", "empty", "*.gif", "photos/10.png"]
    done = edge("predict", *names, "--model", model, "--jsonl")
    assert done.returncode == 1
    assert rows(done.stdout) == ALL[:2]
    lines = done.stderr.splitlines()
    assert len(lines) == 4 and all(line.startswith("error: ") for line in lines)
    for name in ("gone.png", "broken.jpg", "empty", "*.gif"):
        assert sum(name in line for line in lines) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["empty"],
        ["gone1.png", "gone2.png"],
        ["--files-from", "gone"],
        ["--files-from", os.devnull],
        ["-", "-"],
        ["-", "--files-from", "-"],
        ["x.png", "--json", "--csv"],
        ["x.png", "--move-to", "sorted"],
        ["photos", "--save-input", "seen.png"],
        ["photos/2.png", "--save-input", "seen.jpg"],
        ["photos/2.png", "--save-input", "photos/2.png"],
        ["photos/2.png", "--min-confidence", "1.5"],
        ["photos/2.png", "--min-confidence", "nan"],
        ["photos/2.png", "--interval", "1"],
        ["photos/2.png", "--threads", "100000"],
        ["--watch", "photos", "--interval", "nan"],
        ["--watch", "photos", "--interval", "inf"],
        ["--watch", "photos", "--interval", "0"],
        ["photos/2.png", "--labels", "labels.txt"],
        ["--watch", "gone"],
        ["--watch", "photos", "photos/2.png"],
        ["--watch", "photos", "--move-to", "sorted/{lable}"],
    ],
)
@pytest.mark.usefixtures("photos")
def test_wrong_usage_is_2(edge: Any, model: Path, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    done = edge("predict", *words, "--model", model)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: " in done.stderr and "Traceback" not in done.stderr


@pytest.mark.usefixtures("photos")
def test_csv_has_a_header_and_a_row_per_picture(edge: Any, model: Path) -> None:
    plain = list(csv.reader(edge("predict", "photos", "--model", model, "--csv").stdout.splitlines()))
    assert plain[0] == ["image", "label", "probability"]
    assert [(row[0], row[1]) for row in plain[1:]] == ALL
    ranked = list(
        csv.DictReader(edge("predict", "photos", "--model", model, "--csv", "--top", "2").stdout.splitlines())
    )
    assert [row["label_1"] for row in ranked] == [row["label"] for row in ranked] == ["red", "blue", "green"]
    assert all(float(row["probability_1"]) > float(row["probability_2"]) for row in ranked)


@pytest.mark.usefixtures("photos")
def test_json_is_one_document(edge: Any, model: Path) -> None:
    done = edge("predict", "photos", "--model", model, "--json", "--top", "1")
    document = json.loads(done.stdout)
    assert document["model"] == str(model)
    assert [(row["image"], row["label"], len(row["top"])) for row in document["predictions"]] == [
        (*each, 1) for each in ALL
    ]


def test_below_the_confidence_asked_for_the_label_is_unknown(edge: Any, model: Path, photos: Path) -> None:
    Image.new("RGB", (40, 40), (128, 126, 128)).save(photos / "grey.png")
    words = ["predict", "photos/grey.png", "photos/2.png", "--model", model, "--min-confidence", "0.9"]
    grey, red = map(json.loads, edge(*words, "--jsonl").stdout.splitlines())
    assert (grey["label"], red["label"]) == ("unknown", "red")
    assert grey["probability"] < 0.9 and grey["top"][0]["label"] in ("red", "blue")
    assert "unknown" in edge(*words).stdout.splitlines()[1]
    assert edge(*words, "--csv").stdout.splitlines()[1].split(",")[1] == "unknown"


def test_save_input_shows_what_the_model_sees(edge: Any, model: Path, photos: Path, tmp_path: Path) -> None:
    wide = Image.new("RGB", (96, 48), "red")
    wide.paste("blue", (24, 0, 72, 48))
    wide.save(photos / "wide.png")
    done = edge("predict", "photos/wide.png", "--model", model, "--save-input", "seen.png", "--jsonl")
    assert done.returncode == 0 and rows(done.stdout) == [("photos/wide.png", "blue")]
    with Image.open(tmp_path / "seen.png") as seen:
        pixels = np.asarray(seen)
    assert pixels.shape == (32, 32, 3)
    assert (pixels[16, 16] == (0, 0, 255)).all()
    nowhere = edge("predict", "photos/wide.png", "--model", model, "--save-input", "gone/seen.png")
    assert nowhere.returncode == 1 and "another folder with --save-input" in nowhere.stderr


def test_memory_does_not_grow_with_the_number_of_files(edge: Any, model: Path, photos: Path, tmp_path: Path) -> None:
    code = (
        "import resource, sys; from edge_cli.main import run\n"
        "sys.argv = ['edge', 'predict', '--files-from', 'list', '--model', 'model.onnx', '--csv', '--threads', '1']\n"
        "assert run() == 0\n"
        "sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))"
    )
    peaks = []
    assert edge and model.exists() and photos.is_dir()
    for count in (200, 4000):
        (tmp_path / "list").write_text("photos/2.png\n" * count)
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert len(done.stdout.splitlines()) == count + 1
        peaks.append(int(done.stderr))
    assert peaks[1] < peaks[0] + 5_000
