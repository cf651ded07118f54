"""An onnxruntime session set up for a small machine: quiet, without telemetry, no spinning threads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# onnxruntime reads this when it is loaded (telemetry is on by default on Linux since 1.29).
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from edge_runtime.errors import ModelError, UsageError
from edge_runtime.machine import usable_cores

__all__ = ["open_session"]

_ERRORS_ONLY = 3


def open_session(path: str | os.PathLike[str], *, threads: int | None = None) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU over the file at `path`.

    `threads` is the number of threads one inference may use; by default the cores this process may use.

    Raises:
        UsageError: no such file, or `threads` below 1.
        ModelError: the file is empty, truncated, not ONNX, or needs a newer onnxruntime.
    """
    path = Path(path)
    if threads is not None and threads < 1:
        raise UsageError(f"--threads {threads}: at least 1 is needed")
    if not path.is_file():
        what = "is a folder, not a model file" if path.is_dir() else "does not exist"
        raise UsageError(f"{path} {what}", "make one with edge export, or name another with --model")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # A spinning pool burns a core between two pictures and starves a second process beside it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no base class
        raise ModelError(*_explain(path, error)) from error


def _explain(path: Path, error: Exception) -> tuple[str, str]:
    reason = str(error).replace("\n", " ")
    if path.stat().st_size == 0:
        return f"{path} is empty", "export it again with edge export"
    lowered = reason.lower()
    if ("opset" in lowered and "support" in lowered) or "ir version" in lowered or "ir_version" in lowered:
        return (
            f"{path} needs a newer onnxruntime than {onnxruntime.__version__} ({reason})",
            "pip install --upgrade onnxruntime",
        )
    if "protobuf" in lowered or "modelproto" in lowered:
        return f"{path} is not an ONNX file, or was cut short", "copy it again, or export it again"
    return f"onnxruntime cannot load {path}: {reason}", "export it again with edge export"
