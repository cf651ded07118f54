"""edge doctor: whether what was measured of an int8 file holds on this processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drifting_model import write_drifting_model
from edge_runtime import int8_arithmetic


def test_int8_files_are_looked_at(edge: Any, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "insects-tiny-scratch-20260101-000000"
    run.mkdir(parents=True)
    (run / "config.json").write_text('{"created": "2026-01-01T00:00:00+00:00"}', encoding="utf-8")
    write_drifting_model(run / "model-int8.onnx")
    write_drifting_model(tmp_path / "new.onnx", largest=64)
    newest = json.loads(edge("doctor", "--json").stdout)["int8"]
    assert newest["arithmetic"] == int8_arithmetic()
    assert [(Path(each["file"]).name, each["portable"]) for each in newest["files"]] == [("model-int8.onnx", False)]
    named = edge("doctor", "new.onnx")
    assert "int8: new.onnx: measured on a processor it does not name" in named.stdout
    assert "the same answers on every processor" in named.stdout and "model-int8" not in named.stdout
    gone = edge("doctor", "gone.onnx")
    assert gone.returncode == 2 and "gone.onnx cannot be read" in gone.stderr


def test_a_damaged_file_is_a_line_of_the_report(edge: Any, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "insects-tiny-scratch-20260101-000000"
    run.mkdir(parents=True)
    (run / "config.json").write_text('{"created": "2026-01-01T00:00:00+00:00"}', encoding="utf-8")
    write_drifting_model(run / "model-int8.onnx")
    (run / "model.onnx").write_bytes(b"no model")
    (run / "old.onnx").mkdir()
    done = edge("doctor")
    assert done.returncode == 1 and done.stdout.count("broken: ") == 2, done.stdout
    assert "model.onnx" in done.stdout and "int8: " in done.stdout and "extra train" in done.stdout
    files = json.loads(edge("doctor", "--json").stdout)["int8"]["files"]
    assert ["error" in each for each in files] == [False, True, True]
    assert "broken: " in edge("doctor", run / "model.onnx").stdout
