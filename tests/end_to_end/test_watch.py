"""edge predict --watch, through real processes: once each, whole files, whatever kills it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edge_runtime import ModelCard, OperatingPoint, Preprocessing
from tiny_model import write_tiny_model
from unlike_model import write_unlike_model

# A threshold decides between its labels.
DECIDED = ModelCard(
    labels=("red", "lime"),
    preprocessing=Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear"),
    backbone="tiny",
    strategy="scratch",
    operating_point=OperatingPoint("lime", 0.2, 0.95, 40, 20),
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx", labels=("red", "green", "blue"))


def rows(stdout: str) -> list[tuple[str, str]]:
    return [(row["image"], row["label"]) for row in map(json.loads, stdout.splitlines())]


WATCH = ["--watch", "landing", "--interval", "0.05", "--jsonl", "--threads", "1"]


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edge_cli", "predict", "--model", "model.onnx", *WATCH, *words]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def land(folder: Path, names: list[str], colour: str = "red") -> None:
    for name in names:
        Image.new("RGB", (40, 40), colour).save(folder / f".{name}", "PNG")
        (folder / f".{name}").rename(folder / name)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_watching_answers_what_lands_once_also_after_a_restart(
    model: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    land(landing, ["1.png"])
    first = start(model.parent)
    assert first.stdout is not None
    assert rows(first.stdout.readline()) == [("landing/1.png", "red")]
    land(landing, ["2.png"], "blue")
    assert rows(first.stdout.readline()) == [("landing/2.png", "blue")]
    first.send_signal(number)
    stdout, stderr = first.communicate(timeout=30)
    assert (first.returncode, stdout) == (code, "") and "Traceback" not in stderr
    write_unlike_model(model)
    second = start(model.parent, "--drift", "drift.jsonl")
    land(landing, ["3.png"], "lime")
    assert second.stdout is not None
    assert rows(second.stdout.readline()) == [("landing/3.png", "green")]
    second.send_signal(signal.SIGTERM)
    assert second.communicate(timeout=30)[0] == ""
    drift = json.loads((tmp_path / "drift.jsonl").read_text())
    assert (drift["images"], drift["labels"]) == (1, {"green": 1.0})
    assert (drift["distance"], drift["unlikeness"]) == (85, 0.84)


def test_a_half_written_picture_is_waited_for(model: Path, tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    land(tmp_path, ["whole.png"])
    data = (tmp_path / "whole.png").read_bytes()
    (landing / "slow.png").write_bytes(data[:40])
    (landing / "never.png").write_text("no picture")
    running = start(model.parent, "--quiet")
    assert running.stdout is not None and running.stderr is not None
    for end in (50, 60, 70, len(data)):
        (landing / "slow.png").write_bytes(data[:end])
    assert rows(running.stdout.readline()) == [("landing/slow.png", "red")]
    assert "never.png" in running.stderr.readline()
    running.send_signal(signal.SIGTERM)
    assert running.communicate(timeout=30) == ("", "")


def test_a_kill_at_any_moment_loses_and_repeats_no_picture(model: Path, tmp_path: Path) -> None:
    landing, target = tmp_path / "landing", tmp_path / "sorted" / "red"
    landing.mkdir()
    target.mkdir(parents=True)
    (target / "7.png").write_text("was here before")
    names = [f"{number}.png" for number in range(60)]
    land(landing, names)
    told: list[dict[str, Any]] = []
    for lines in (1, 3, 8, 14, 60):
        running = start(model.parent, "--move-to", "sorted/{label}", "--quiet")
        assert running.stdout is not None
        before = len(told)
        while len(told) < before + lines and len({row["image"] for row in told}) < len(names):
            told.append(json.loads(running.stdout.readline()))
        running.send_signal(signal.SIGTERM if lines == 60 else signal.SIGKILL)
        # `communicate` would pass over what `readline` has read ahead.
        told += map(json.loads, running.stdout)
        assert running.stderr is not None and "Traceback" not in running.stderr.read()
        running.communicate(timeout=30)
    # What was told twice is marked: the process died between saying it and noting that it was said.
    once = [row["image"] for row in told if not row["again"]]
    assert len(once) == len(set(once))
    assert {row["image"] for row in told} == {f"landing/{name}" for name in names}
    assert [path.name for path in landing.iterdir() if not path.name.startswith(".")] == []
    assert len(list(target.iterdir())) == 61
    assert (target / "7.png").read_text() == "was here before"
    assert (target / "7-2.png").is_file()


def test_a_threshold_is_said_at_the_start_and_in_each_line(edge: Any, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model.onnx", DECIDED.labels, card=DECIDED)
    (tmp_path / "landing").mkdir()
    land(tmp_path / "landing", ["1.png"])
    watching = start(tmp_path)
    assert watching.stdout is not None
    row = json.loads(watching.stdout.readline())
    watching.send_signal(signal.SIGTERM)
    said = watching.communicate(timeout=30)[1]
    assert (row["label"], row["positive"], row["threshold"]) == ("red", "lime", 0.2)
    assert said.startswith("lime from 20.00% on\n")
    done = edge("predict", "--model", "model.onnx", "landing", "--csv")
    assert done.stderr == "lime from 20.00% on\n" and done.stdout.splitlines()[1].startswith("landing/1.png,red,")


def test_an_improbable_answer_is_sorted_by_its_threshold_and_only_what_is_withheld_is_unknown(
    edge: Any, tmp_path: Path
) -> None:
    write_tiny_model(tmp_path / "model.onnx", DECIDED.labels, card=DECIDED, sharpness=4.0)
    (tmp_path / "landing").mkdir()
    # Lime with 27 %, and with 13 %.
    land(tmp_path / "landing", ["found.png"], "#ffbf00")
    land(tmp_path / "landing", ["other.png"], "#ff8700")
    asked = ("--model", "model.onnx", "--min-confidence", "0.9")
    done = edge("predict", *asked, "landing")
    assert "found.png\n  lime: lime from 20.00% on\n" in done.stdout
    assert "other.png\n  unknown: red has 86.79%, less than 90.00%\n" in done.stdout
    watching = start(tmp_path, "--min-confidence", "0.9", "--move-to", "sorted/{label}", "--drift", "drift.jsonl")
    assert watching.stdout is not None
    told = [json.loads(watching.stdout.readline()) for _ in range(2)]
    watching.send_signal(signal.SIGTERM)
    watching.communicate(timeout=30)
    assert {Path(row["moved_to"]).relative_to(tmp_path): row["label"] for row in told} == {
        Path("sorted/lime/found.png"): "lime",
        Path("sorted/unknown/other.png"): "unknown",
    }
    drift = json.loads((tmp_path / "drift.jsonl").read_text())
    assert (drift["images"], drift["unlike"]) == (2, 0)


def test_two_processes_do_not_watch_with_one_journal(edge: Any, model: Path, tmp_path: Path) -> None:
    (tmp_path / "landing").mkdir()
    land(tmp_path / "landing", ["1.png"])
    running = start(model.parent)
    assert running.stdout is not None and running.stdout.readline()
    done = edge("predict", "--watch", "landing", "--model", model)
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=30)
    assert done.returncode == 2 and "another process" in done.stderr
