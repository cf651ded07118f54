"""edge doctor: whether what was measured of an int8 file holds on this processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
from PIL import Image

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


def test_where_a_stranger_says_he_measured_commands_no_terminal(edge: Any, tmp_path: Path) -> None:
    model = write_drifting_model(tmp_path / "new.onnx", largest=64)
    proto = onnx.load(model)
    card = json.loads(proto.metadata_props[0].value)
    card["quantization"] = {"arithmetic": {"measured_on": "a Pi\x1b[31m"}}
    proto.metadata_props[0].value = json.dumps(card)
    onnx.save(proto, model)
    for label, shade in (("a", (3, 0, 0)), ("b", (0, 3, 0)), ("c", (0, 0, 1))):
        (tmp_path / "photos" / label).mkdir(parents=True)
        Image.new("RGB", (32, 32), shade).save(tmp_path / "photos" / label / "1.png")
    for words in (("doctor", model), ("evaluate", "--model", model, "--data", "photos", "--split", "all", "--exact")):
        done = edge(*words)
        told = done.stdout + done.stderr
        assert "\x1b" not in told and r"measured on a Pi\x1b[31m" in told
