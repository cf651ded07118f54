"""Programs of tests that see a processor with fewer instruction sets (benchmarks/self_checks/as_processor.py)."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["SCRIPT", "as_processor", "can_hide"]

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "self_checks" / "as_processor.py"
_CPUINFO = Path("/proc/cpuinfo")


def _there() -> bool:
    described = _CPUINFO.read_text() if _CPUINFO.exists() else ""
    return platform.machine() == "x86_64" and "cpuid_fault" in described and shutil.which("cc") is not None


can_hide = pytest.mark.skipif(not _there(), reason="needs Linux on x86-64 whose CPUID can fault, and a C compiler")


def as_processor(kind: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the arguments `command` as on a processor of that kind."""
    return subprocess.run(
        [sys.executable, SCRIPT, kind, sys.executable, *command], capture_output=True, text=True, check=False
    )
