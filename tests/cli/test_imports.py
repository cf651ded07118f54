"""What a command may load: what stays out of a small machine's memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tiny_model import write_tiny_model

HEAVY = {"torch", "torchvision", "matplotlib", "onnx", "onnxscript", "scipy", "pandas", "starlette", "uvicorn"}
HEAVY |= {"tensorboard", "mlflow", "wandb", "comet_ml", "ray"}

REPORT = """
import json, sys
try:
    {code}
except SystemExit:
    pass
finally:
    sys.stderr.write("\\nLOADED " + json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))
"""


def loaded_by(code: str, cwd: Path) -> set[str]:
    """Top-level packages in memory after `code` has run in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT.format(code=code)], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert "LOADED " in done.stderr, done.stderr
    return set(json.loads(done.stderr.rpartition("LOADED ")[2]))


def command(*words: str) -> str:
    return f"sys.argv = {['edge', *words]!r}; from edge_cli.main import run; run()"


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = loaded_by(command("--help"), tmp_path)
    assert "edge_cli" in loaded
    assert not loaded & (HEAVY | {"numpy", "onnxruntime", "PIL"})


@pytest.mark.parametrize(
    "verb",
    [
        "train",
        "tune",
        "import",
        "export",
        "label",
        "serve",
        "bench",
        "demo",
        "backbones",
        "weights",
        "doctor",
        "docs",
        "info",
        "evaluate",
        "explain",
    ],
)
def test_help_of_a_verb_loads_nothing_heavy(verb: str, tmp_path: Path) -> None:
    assert not loaded_by(command(verb, "--help"), tmp_path) & HEAVY


def test_predict_loads_no_torch_and_no_rich(tmp_path: Path) -> None:
    from PIL import Image

    model = write_tiny_model(tmp_path / "model.onnx")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "x.png")
    loaded = loaded_by(command("predict", "--image", "x.png", "--model", str(model)), tmp_path)
    assert "onnxruntime" in loaded
    assert not loaded & (HEAVY | {"rich"})


def test_the_runtime_loads_numpy_pillow_onnxruntime_and_the_standard_library_alone(tmp_path: Path) -> None:
    before = loaded_by("pass", tmp_path)
    code = "import edge_runtime; [getattr(edge_runtime, name) for name in edge_runtime.__all__]"
    allowed = {"numpy", "PIL", "onnxruntime", "edge_runtime"} | set(sys.stdlib_module_names)
    # Pillow brings these along where they are installed.
    allowed |= {"defusedxml", "_cython_3_1_2", "cython_runtime"}
    new = {name for name in loaded_by(code, tmp_path) - before if not name.startswith(("_", "google"))}
    assert new <= allowed, new - allowed
