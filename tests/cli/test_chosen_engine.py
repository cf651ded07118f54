"""--engine: the engine that is asked for, or the one that was measured fastest, which is said once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from edge_cli.main import run
from edge_runtime import EngineChoice, keep_engine_choices, open_session, usable_cores
from edge_runtime.model import openvino_session
from tiny_model import write_tiny_model

Edge = Callable[..., tuple[int, str, str]]


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Edge:
    """`edge` in this process, in a folder with a model and labelled pictures; onnxruntime plays OpenVINO."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    write_tiny_model(tmp_path / "model.onnx")
    for name, colour in {"a": "red", "b": "lime", "c": "blue"}.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (40, 40), colour).save(tmp_path / "photos" / name / "1.png")
    opened = []

    def play(path: Path, *, bfloat16: bool, **how: object) -> object:
        opened.append(bfloat16)
        return open_session(path, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(openvino_session, "open_openvino", play)

    def edge(*words: str) -> tuple[int, str, str]:
        opened.clear()
        monkeypatch.setattr(sys, "argv", ["edge", *words])
        capsys.readouterr()
        code = run()
        said = capsys.readouterr()
        return code, said.out, f"{said.err}opened {len(opened)} by openvino"

    return edge


def choose(engine: str) -> None:
    choice = EngineChoice(engine, usable_cores(), 2.0, 3.0, 1e-7, 64)  # type: ignore[arg-type]
    keep_engine_choices(Path("model.onnx"), [choice])


PREDICT = ("predict", "--model", "model.onnx", "photos/a/1.png", "--json")
EVALUATE = ("evaluate", "--model", "model.onnx", "--data", "photos", "--json")


@pytest.mark.parametrize("words", [PREDICT, EVALUATE])
def test_what_was_measured_fastest_is_taken_and_said_once(edge: Edge, words: tuple[str, ...]) -> None:
    code, plain, said = edge(*words)
    assert code == 0 and "opened 0" in said and "run by" not in said
    choose("openvino")
    code, out, said = edge(*words)
    assert code == 0 and "opened 1" in said and out == plain
    assert said.count("run by openvino, 1.50 times as fast as onnxruntime") == 1
    assert "run by" not in edge(*words, "--quiet")[2]
    assert "opened 0" in edge(*words, "--engine", "onnxruntime")[2]
    choose("onnxruntime")
    assert "opened 0" in edge(*words)[2] and "run by" not in edge(*words)[2]


@pytest.mark.parametrize("words", [PREDICT, EVALUATE])
def test_the_engine_asked_for_is_taken(edge: Edge, words: tuple[str, ...]) -> None:
    assert "opened 1" in edge(*words, "--engine", "openvino")[2]
    code, out, said = edge(*words, "--engine", "tensorrt")
    assert code == 2 and not out and "'tensorrt' is not one of 'auto', 'onnxruntime', 'openvino'" in said


def test_bfloat16_is_had_by_its_measurement_alone(edge: Edge) -> None:
    assert "'openvino-bf16' is not one of" in edge(*PREDICT, "--engine", "openvino-bf16")[2]
    choose("openvino-bf16")
    assert "run by openvino-bf16, 1.50 times" in edge(*PREDICT)[2]


def test_rejecting_and_watching_commands_take_it_too(edge: Edge) -> None:
    code, _, said = edge(*PREDICT, "--engine", "openvino", "--reject-unlike", "5%")
    assert code == 2 and "does not say what is unlike training" in said and "opened 1" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*EVALUATE, "--exact", "--engine", "openvino"), "--exact is about onnxruntime's kernels"),
        (("predict", "--explain", "x.png", "--engine", "openvino"), "--explain is drawn with torch"),
        (
            ("predict", "photos", "--model", "m.onnx", "--labels", "l.txt", "--engine", "openvino"),
            "--engine openvino is for files of edge export",
        ),
    ],
)
def test_where_an_engine_has_no_say_it_is_refused(edge: Edge, words: tuple[str, ...], said: str) -> None:
    code, out, err = edge(*words)
    assert code == 2 and not out and said in err


def test_exact_arithmetic_is_held_against_onnxruntime_whatever_was_measured(edge: Edge) -> None:
    choose("openvino")
    code, _, said = edge(*EVALUATE, "--exact")
    assert code == 0 and "opened 0" in said and "run by" not in said


def test_info_says_what_was_measured(edge: Edge) -> None:
    assert json.loads(edge("info", "model.onnx", "--json")[1])["engine"] is None
    choose("openvino")
    assert json.loads(edge("info", "model.onnx", "--json")[1])["engine"]["engine"] == "openvino"
    assert "openvino, 1.50 times as fast as onnxruntime" in edge("info", "model.onnx")[1]
