"""What a batch's workers import: nothing of the folder that it is started in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("ray")
pytest.importorskip("pyarrow")

from edge_runtime import python_command
from parts import packages


def test_a_batch_runs_no_file_of_the_folder_it_is_started_in(photos: Path, model: Path, tmp_path: Path) -> None:
    stands = tmp_path / "stands"
    stands.mkdir()
    for name in ("numpy", "PIL", "onnxruntime", "colorsys", "edge_runtime"):
        (stands / f"{name}.py").write_text(f"open({str(stands / 'ran')!r}, 'w').close()\nraise ImportError\n")
    words = (
        "--data",
        str(photos / "near"),
        "--model",
        str(model),
        "--threads",
        "1",
        "--out",
        str(tmp_path / "answers"),
    )
    done = subprocess.run(
        python_command("-m", "edge_cli", "predict", "--engine", "ray", *words),
        cwd=stands,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(path.parent) for path in packages().values())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not (stands / "ran").exists()
    assert "answers to" in done.stderr
