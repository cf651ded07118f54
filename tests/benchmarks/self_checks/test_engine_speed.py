"""The engines' own speed: a table of what is here, and what it refuses."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_benchmarks.models import engine_parity
from tiny_model import write_tiny_model

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "self_checks" / "engine_speed.py"


def test_a_row_for_each_file_and_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.setattr(engine_parity, "missing_package", lambda _: "openvino")
    models = ",".join(str(write_tiny_model(tmp_path / name)) for name in ("a.onnx", "b.onnx"))
    monkeypatch.setattr(sys, "argv", [SCRIPT.name, "--models", models, "--seconds", "0.05", "--batch", "2"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert "without openvino" in said
    first, second = (line.split() for line in said.splitlines() if ".onnx" in line)
    assert (first[:3], second[:3]) == (["a.onnx", "tiny", "onnxruntime"], ["b.onnx", "tiny", "onnxruntime"])
    assert first[4] == first[7] == "1.00" and int(first[8]) >= 20


def test_a_file_that_is_not_there_is_one_line(refused: Callable[..., tuple[int, str, str]]) -> None:
    code, _, said = refused("engine_speed.py", "--models", "none.onnx")
    assert code == 2 and "none.onnx does not exist" in said
