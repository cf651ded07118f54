"""Names of files that the shell did not expand."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_cli.file_patterns import matched
from edge_runtime import UsageError


def test_patterns_become_what_they_match(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("runs/b/model.onnx", "runs/a/model.onnx", "runs/a/model-int8.onnx", "runs/a/best.pt", "x[1].onnx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = list(matched(["no.onnx", "./runs/*/model*.onnx", "x[1].onnx"]))
    both = ["./runs/a/model-int8.onnx", "./runs/a/model.onnx", "./runs/b/model.onnx"]
    # A name without a pattern is the command's to refuse.
    assert found == ["no.onnx", *both, "x[1].onnx"]
    assert list(matched(["**/best.pt"])) == ["runs/a/best.pt"]
    with pytest.raises(UsageError, match=r"run\*/x\.onnx matches no file"):
        list(matched(["run*/x.onnx"]))
