"""What the modules of the benchmarks do that are started as programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import edge_benchmarks

PACKAGE = Path(edge_benchmarks.__file__).parent
PROGRAMS = [
    ".".join(("edge_benchmarks", *path.relative_to(PACKAGE).with_suffix("").parts))
    for path in sorted(PACKAGE.rglob("*.py"))
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("module", PROGRAMS)
def test_a_program_is_imported_without_onnxruntime_whose_telemetry_its_main_switches_off(module: str) -> None:
    code = f"import sys, {module}; sys.exit('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if "No module named 'torch" in done.stderr:
        pytest.skip("needs torch")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("how", "expected"), [("", "1"), (", plain=True", "None")])
def test_a_program_is_prepared_unless_it_is_what_edge_is_measured_against(
    how: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    code = (
        "import os; from edge_benchmarks.program import exit_code; "
        f"exit_code(lambda: print(os.environ.get('ORT_DISABLE_TELEMETRY')) or 0{how})"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == expected
