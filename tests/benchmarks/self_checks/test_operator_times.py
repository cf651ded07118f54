"""Which operators a model's time goes to: a table for each file, and what it refuses."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tiny_model import write_tiny_model

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "self_checks" / "operator_times.py"


def test_each_operator_of_each_file_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    models = [str(write_tiny_model(tmp_path / name)) for name in ("a.onnx", "b.onnx")]
    monkeypatch.setattr(sys, "argv", [SCRIPT.name, *models, "--runs", "3"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert ended.value.code == 0
    starts = [at for at, line in enumerate(lines) if ".onnx" in line]
    assert [lines[at].split()[0] for at in starts] == ["a.onnx", "b.onnx"]
    rows = [line.split() for line in lines[starts[0] + 1 : starts[1]]]
    *operators, last = rows
    taken = [float(row[2]) for row in operators]
    assert "Softmax" in {row[0] for row in operators} and all(int(row[1]) >= 1 for row in operators)
    assert taken == sorted(taken, reverse=True) and last[0] == "all"
    assert sum(taken) == pytest.approx(float(last[1]), abs=0.001 * len(taken))


def test_a_file_that_is_not_there_is_one_line(refused: Callable[..., tuple[int, str, str]]) -> None:
    code, _, said = refused("operator_times.py", "none.onnx")
    assert code == 2 and "none.onnx does not exist" in said
