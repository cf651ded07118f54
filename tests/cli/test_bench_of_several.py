"""edge bench of a model of several labels: its speed is measured, and it has no one accuracy."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_cli.bench.contestants import Choice, choose_contestants
from edge_cli.console import Console
from tiny_model import write_multi_label_model, write_multi_task_model


def test_its_accuracy_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = (write_multi_label_model(tmp_path / "l.onnx"), write_multi_task_model(tmp_path / "t.onnx"))
    (tmp_path / "photos").mkdir()
    choice = Choice(models=models, data=(str(tmp_path / "photos"),))
    found = choose_contestants(choice, tmp_path, Console())
    assert [contestant.images for contestant in found] == [None, None]
    told = capsys.readouterr().err
    assert "l.onnx is a multi-label model: its accuracy is edge evaluate's to say" in told
    assert "t.onnx is a multi-task model" in told
