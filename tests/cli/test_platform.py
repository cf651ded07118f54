"""An interpreter edge cannot run on is told so in one line."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.specifiers import SpecifierSet


def test_a_32_bit_interpreter_is_one_clear_error() -> None:
    # What tells the two apart is the size of a pointer; a 32-bit interpreter is not at hand.
    code = "import sys; sys.maxsize = 2**31 - 1; sys.argv = ['edge', 'doctor']; from edge_cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert len(lines) == 2 and "32-bit" in lines[0] and "64-bit" in lines[1], done.stderr


def test_an_older_python_is_refused_when_installing() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = SpecifierSet(project["requires-python"])
    assert "3.11" in wanted and "3.14" in wanted and "3.10" not in wanted
