"""edge predict --mjpeg: a camera's stream in, a JSON line for each frame out."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from conftest import Edge
from tiny_model import write_tiny_model

COLOURS = ["red", "lime", "blue", "blue", "red", "lime"]


def frame(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx", labels=("stop", "go", "sky"))


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    path = tmp_path / "camera.mjpeg"
    path.write_bytes(b"".join(map(frame, COLOURS)))
    return path


def test_each_frame_is_a_json_line(edge: Edge, model: Path, stream: Path) -> None:
    done = edge("predict", "--mjpeg", stream, "--model", model, "--top", "1")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["label"] for answer in answers] == ["stop", "go", "sky", "sky", "stop", "go"]
    assert [answer["image"] for answer in answers] == [f"frame {number}" for number in range(1, 7)]


def test_every_nth_is_taken(edge: Edge, model: Path, stream: Path) -> None:
    done = edge("predict", "--mjpeg", stream, "--model", model, "--every", "3")
    assert [json.loads(line)["image"] for line in done.stdout.splitlines()] == ["frame 1", "frame 4"]


def test_a_bad_frame_is_a_line_on_stderr_and_the_rest_goes_on(edge: Edge, model: Path, tmp_path: Path) -> None:
    good = frame("red")
    # Whole by its markers, but its tables are gone.
    bad = good[:20] + good[good.index(b"\xff\xc0") :]
    (tmp_path / "bad.mjpeg").write_bytes(good + bad + good + good[:-9])
    done = edge("predict", "--mjpeg", tmp_path / "bad.mjpeg", "--model", model)
    assert done.returncode == 1
    assert [json.loads(line)["image"] for line in done.stdout.splitlines()] == ["frame 1", "frame 3"]
    assert "error: frame 2" in done.stderr
    assert "error: frame 4 is cut short" in done.stderr


def test_the_newest_frame_is_next_where_more_came_than_could_be_answered(model: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "edge_cli", "predict", "--mjpeg", "-", "--latest", "--model", str(model)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(frame("red"))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["image"] == "frame 1"
        # A burst that is read in one go while nothing of it is answered yet: far more than answers.
        process.stdin.write(frame("lime") * 2000 + frame("blue"))
        process.stdin.flush()
        time.sleep(0.2)
        process.stdin.close()
        answers = [json.loads(line) for line in process.stdout]
    assert process.returncode == 0
    assert len(answers) < 1000
    assert answers[-1]["image"] == "frame 2002"
    assert answers[-1]["label"] == "sky"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("words", [[], ["--latest"]])
def test_ctrl_c_ends_it_while_it_waits_for_the_next_frame(model: Path, tmp_path: Path, words: list[str]) -> None:
    os.mkfifo(tmp_path / "camera")
    with subprocess.Popen(
        [sys.executable, "-m", "edge_cli", "predict", "--mjpeg", "camera", "--model", str(model), *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            with (tmp_path / "camera").open("wb") as camera:
                camera.write(frame("red"))
                camera.flush()
                assert json.loads(process.stdout.readline())["image"] == "frame 1"
                process.send_signal(signal.SIGINT)
                assert process.wait(timeout=20) == 130
            assert process.stderr.read().decode() == "error: interrupted\n"
        finally:
            process.kill()


def test_a_stream_without_a_picture_is_an_error(edge: Edge, model: Path, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("no picture")
    for words in (["x.txt"], ["-"], ["-", "--latest"]):
        done = edge("predict", "--mjpeg", *words, "--model", model)
        assert done.returncode == 1
        assert f"error: --mjpeg {words[0]} holds no JPEG" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--every", "2"], "--every and --latest go with --mjpeg"),
        (["--watch", ".", "--every", "3"], "--every and --latest go with --mjpeg"),
        (["--explain", "x.png", "--latest"], "--every and --latest go with --mjpeg"),
        (["--explain", "x.png", "--drift", "d"], "--drift go with --watch"),
        (["--mjpeg", "x", "--move-to", "s/{label}"], "--drift go with --watch"),
        (["--mjpeg", "x", "--json"], "--mjpeg takes no other pictures"),
        (["--mjpeg", "x", "y.png"], "--mjpeg takes no other pictures"),
        (["--mjpeg", "nowhere"], "--mjpeg nowhere cannot be read"),
        (["--mjpeg", "."], "--mjpeg . cannot be read"),
    ],
)
def test_what_makes_no_sense_is_one_line(edge: Edge, model: Path, words: list[str], said: str) -> None:
    done = edge("predict", *words, "--model", model)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("error:") == 1
