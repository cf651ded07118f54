"""An interpreter edge cannot run on is told so in one line."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_a_32_bit_interpreter_is_one_clear_error() -> None:
    # What tells the two apart is the size of a pointer; a 32-bit interpreter is not at hand.
    code = "import sys; sys.maxsize = 2**31 - 1; sys.argv = ['edge', 'doctor']; from edge_cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert len(lines) == 2 and "32-bit" in lines[0] and "64-bit" in lines[1], done.stderr


@pytest.mark.parametrize("package", ["edge_cli.main", "typer", "edge_runtime.errors"])
def test_ctrl_c_while_it_is_loaded_is_one_line_and_130(package: str) -> None:
    done = _interrupted_at(package, "")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


def test_who_has_it_ignore_ctrl_c_is_heeded() -> None:
    done = _interrupted_at("typer", "signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert done.returncode == 0 and done.stdout.startswith("edge ")


def _interrupted_at(package: str, first: str) -> subprocess.CompletedProcess[str]:
    """`edge --version` as its script runs it, interrupted when it begins to import `package`."""
    module, _, function = PROJECT["scripts"]["edge"].partition(":")
    code = (
        f"import os, signal, sys; {first}\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {package!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting()); sys.argv = ['edge', '--version']\n"
        f"from {module} import {function}; {function}()"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_an_older_python_is_refused_when_installing() -> None:
    wanted = SpecifierSet(PROJECT["requires-python"])
    assert "3.11" in wanted and "3.14" in wanted and "3.10" not in wanted
