"""Processes of Python that edge starts: they run nothing of the folder that one stands in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime import python_command, run_probe
from parts import ROOT, packages


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that one stands in; its modules, named as what everything imports, leave a file behind."""
    for name in ("numpy", "random", "edge_runtime", "edge_cli"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    path = os.pathsep.join(str(ROOT / part) for part in ("runtime", "data", "cli"))
    monkeypatch.setenv("PYTHONPATH", path)
    return tmp_path


def test_a_started_python_runs_no_file_of_the_folder_it_is_started_from(planted: Path) -> None:
    assert subprocess.run([sys.executable, "-c", "import random"], check=True) and (planted / "ran").exists()
    (planted / "ran").unlink()
    subprocess.run(python_command("-c", "import random, numpy, edge_runtime"), check=True)
    assert run_probe().fault == ""
    assert not (planted / "ran").exists()


def test_doctor_runs_no_file_of_the_folder_it_is_asked_in(planted: Path) -> None:
    command = python_command("-m", "edge_cli", "doctor")
    subprocess.run(command, capture_output=True, check=False)
    assert not (planted / "ran").exists()


@pytest.mark.parametrize("part", packages())
def test_no_part_starts_python_in_another_way(part: str) -> None:
    for path in packages()[part].rglob("*.py"):
        if path.name != "started_python.py":
            code = path.read_text(encoding="utf-8")
            assert "[sys.executable" not in code and "(sys.executable," not in code, path
