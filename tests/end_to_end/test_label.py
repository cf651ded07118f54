"""`edge label` on the command line: what it refuses, before anything is shown or written."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_cli.main import run
from tiny_model import write_tiny_model


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "FILE|DIR"),
        (["gone.csv"], "gone.csv does not exist"),
        (["list.parquet"], "Parquet"),
        (["other.csv"], "no column path"),
        (["empty"], "there is no picture"),
        (["list.csv", "--out", "own.csv"], "own.csv is there already"),
        (["list.csv", "--out", "x.jpg"], "no .csv or .tsv"),
        (["list.csv", "--out", "gone/x.csv"], "no folder"),
        (["list.csv", "--order", "uncertain"], "--order uncertain needs a column"),
        (["list.csv", "--order", "valuable"], "--model"),
        (["list.csv", "--order", "valuable", "--model", "m.onnx"], "no embedding"),
        (["list.csv", "--order", "best"], "--order"),
        (["list.csv", "--class", "a\nb"], "no name of a class"),
        (["list.csv", "--model", "gone.onnx"], "gone.onnx does not exist"),
        (["list.csv", "--host", "nowhere.invalid"], "nowhere.invalid"),
        (["list.csv", "--allow-host", "http://x"], "--allow-host"),
        (["list.csv", "--port", "x"], "--port"),
    ],
)
def test_wrong_usage_is_2_and_one_clear_error(
    tmp_path: Path, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "1.jpg").write_bytes(b"x")
    (tmp_path / "list.csv").write_text("path\n1.jpg\n")
    (tmp_path / "own.csv").write_text("path,label\n1.jpg,mine\n")
    (tmp_path / "other.csv").write_text("file\n1.jpg\n")
    (tmp_path / "empty").mkdir()
    write_tiny_model(tmp_path / "m.onnx")
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    port = () if "--port" in words else ("--port", "0")
    monkeypatch.setattr(sys, "argv", ["edge", "label", *words, *port])
    assert run() == 2
    stdout, stderr = capsys.readouterr()
    assert stdout == "" and said in stderr and stderr.startswith("error: ")
    assert len(stderr.splitlines()) <= 2
    assert sorted(tmp_path.iterdir()) == before


def test_a_missing_extra_says_which(edge: Any, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/sitecustomize.py").write_text("import sys\nsys.modules['uvicorn'] = None\n")
    places = [str(tmp_path / "hidden"), os.environ.get("PYTHONPATH", "")]
    done = edge("label", ".", PYTHONPATH=os.pathsep.join(places))
    assert (done.returncode, done.stdout) == (2, "")
    assert "uvicorn" in done.stderr and "edge-vision[serve]" in done.stderr and "Traceback" not in done.stderr
