"""edge doctor: what is here, and what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from typing import Any

import typer

from edge_cli.console import print_json
from edge_cli.options import JsonFlag
from edge_runtime import available_memory_bytes, cpu_model, usable_cores

app = typer.Typer(add_completion=False)

PACKAGES = (
    "numpy",
    "pillow",
    "onnxruntime",
    "typer",
    "rich",
    "torch",
    "torchvision",
    "onnx",
    "onnxscript",
    "matplotlib",
)
EXTRAS = {"train": ("torch", "torchvision"), "export": ("onnx", "onnxscript"), "bench": ("matplotlib",)}


@app.command(
    name="doctor", help="Show versions, the machine, and which extras are installed; exit 1 if something is broken."
)
def doctor(json_: JsonFlag = False) -> int:
    """Look, and say what to do."""
    runtime_error = _probe_onnxruntime()
    memory = available_memory_bytes()
    found: dict[str, Any] = {
        "edge": importlib.metadata.version("edge-vision"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": cpu_model(),
        "architecture": platform.machine(),
        "usable_cores": usable_cores(),
        "available_memory_bytes": memory,
        "packages": {name: _version(name) for name in PACKAGES},
        "extras": {extra: all(map(importlib.util.find_spec, needs)) for extra, needs in EXTRAS.items()},
        "onnxruntime_error": runtime_error,
    }
    if json_:
        print_json(found)
        return 1 if runtime_error else 0
    print(f"edge {found['edge']}, Python {found['python']}, {found['system']}")
    print(f"{found['cpu']}, {found['usable_cores']} usable cores, {(memory or 0) / 1e9:.1f} GB of memory free")
    print(", ".join(f"{name} {version or '–'}" for name, version in found["packages"].items()))
    for extra, there in found["extras"].items():
        state = "installed" if there else f"missing: pip install 'edge-vision[{extra}]'"
        print(f"extra {extra:<7} {state}")
    print(f"onnxruntime {runtime_error or 'works'}")
    return 1 if runtime_error else 0


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _probe_onnxruntime() -> str | None:
    """None where onnxruntime loads, else what is wrong; in a process of its own, which a bad build may kill."""
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "import onnxruntime"], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return (
            f"is killed by signal {-done.returncode} when it loads: this build needs instructions the processor "
            "lacks; try an older one, pip install 'onnxruntime<1.20'"
        )
    return f"does not load: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
