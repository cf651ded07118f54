"""An onnxruntime session set up for a small machine: quiet, its threads asleep between two runs."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnxruntime

from edge_runtime.errors import ModelError, UsageError
from edge_runtime.machine.resources import usable_cores
from edge_runtime.model.onnx_bytes import check_model_file, read_metadata
from edge_runtime.model.this_machine import find_quick_load
from edge_runtime.setting_kinds import as_kind

# Beyond any machine; so many that their stacks fill the memory are a slip of the hand.
MOST_THREADS = 1024
# Threads that spin for the next layer's work make small networks up to 1.5 times as fast, and burn a core between two
# pictures. So they stop at a run's end, and within it after the time a short layer takes: by default they wait longer
# and starve a second process beside (two at once reached 0.95 of one, so 1.5 of it; MobileNetV2 in int8, two cores).
# onnxruntime before 1.27 has no such time and passes over it.
_SPINNING = {"session.force_spinning_stop": "1", "session.intra_op.spin_duration_us": "100"}
XNNPACK = "XnnpackExecutionProvider"
_FATAL_ONLY = 4
_LONGEST_REASON = 200
_UNKNOWN_OPERATOR = re.compile(
    r"Fatal error: (\S+?)\(-?\d+\) is not a registered|No Op registered for (\S+) with|"
    r"Could not find an implementation for (\w+\(\d+\))"
)


def open_session(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    exact: bool = False,
    verified: bytes | None = None,
    xnnpack: bool = False,
) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU over the file at `path`.

    `threads` is the number of threads one inference may use; by default the cores this process may use. Where
    the file's optimised form for this machine lies beside it, that is opened instead: it gives the same answers, and
    says of itself what the file says. With `exact` every node runs as it stands in the file, so that int8 layers are
    computed in floats from what their numbers stand for: what int8 kernels are held against, and several times slower.
    `verified` are the bytes to open in place of what lies at `path`, and of any optimised form. With `xnnpack` the
    layers that XNNPACK can do are its own.

    Raises:
        UsageError: no such file, one that may not be read, or `threads` below 1 or above 1024, or this onnxruntime has
            no XNNPACK.
        ModelError: the file is empty, truncated, not ONNX, or needs a newer onnxruntime.
    """
    path = Path(path)
    check_opening(path, threads)
    if xnnpack and not has_xnnpack():
        raise UsageError("this onnxruntime was built without XNNPACK", "leave `engine` out, or install one that has it")
    plain = not exact and not xnnpack and verified is None
    if plain and (quick := open_quick_load(path, threads=threads)) is not None:
        return quick[1]
    try:
        return _open(path, threads, as_it_stands=exact, data=verified, xnnpack=xnnpack)
    except Exception as error:  # onnxruntime's own exceptions share no base class
        raise ModelError(*_explain(path, error)) from error


def has_xnnpack() -> bool:
    """Whether this onnxruntime was built with XNNPACK, as some for Arm are."""
    return XNNPACK in onnxruntime.get_available_providers()


def check_opening(path: Path, threads: int | None) -> None:
    """Raise UsageError where there is no file at `path`, or so many threads make no sense or are no whole number."""
    threads = as_kind(threads, int | None, "`threads`")
    if threads is not None and threads < 1:
        raise UsageError(f"`threads` {threads}: at least 1 is needed")
    if threads is not None and threads > MOST_THREADS:
        raise UsageError(f"`threads` {threads}: at most {MOST_THREADS}", f"this process may use {usable_cores()} cores")
    check_model_file(path)


def open_quick_load(path: Path, *, threads: int | None = None) -> tuple[Path, Any] | None:
    """The optimised form that is opened in place of the file at `path`, and its session; None where that itself is."""
    # Whatever is wrong with it, the portable file is there.
    with suppress(Exception):
        quick = find_quick_load(path, onnxruntime.__version__)
        if quick is not None:
            session = _open(quick, threads, as_it_stands=True)
            # Labels and preprocessing are the portable file's to say.
            if session.get_modelmeta().custom_metadata_map == read_metadata(path):
                return quick, session
    return None


def _open(
    path: Path, threads: int | None, *, as_it_stands: bool = False, data: bytes | None = None, xnnpack: bool = False
) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    providers: list[Any] = ["CPUExecutionProvider"]
    if xnnpack:
        # Its layers have threads of their own; both kinds at once would fight for the cores (onnxruntime's page on it).
        providers.insert(0, (XNNPACK, {"intra_op_num_threads": str(options.intra_op_num_threads)}))
        options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Errors come as exceptions, and are said once, in our words.
    options.log_severity_level = _FATAL_ONLY
    for name, value in _SPINNING.items():
        options.add_session_config_entry(name, value)
    if as_it_stands:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # The fallback would print on stdout, and try the same provider again.
    session = onnxruntime.InferenceSession(
        _source(path) if data is None else data, options, providers=providers, enable_fallback=0
    )
    # Every text a caller may want: one that damage left undecodable shows only when it is read.
    meta = session.get_modelmeta()
    _ = meta.custom_metadata_map, meta.producer_name
    for node in (*session.get_inputs(), *session.get_outputs()):
        _ = node.name, node.type, node.shape
    return session


def _source(path: Path) -> str | bytes:
    """What to open a session on: the path, or the file's bytes where the path is not UTF-8."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return path.read_bytes()
    return str(path)


def _explain(path: Path, error: Exception) -> tuple[str, str]:
    if path.suffix in (".pt", ".pth"):
        return f"{path} is a checkpoint or a TorchScript file, not ONNX", "edge export makes model.onnx of a run"
    if path.stat().st_size == 0:
        return f"{path} is empty", "export it again with edge export"
    return _explain_graph(path, error)


def _explain_graph(path: Path, error: Exception) -> tuple[str, str]:
    reason = plain_reason(str(error))
    lowered = reason.lower()
    if newer := re.search(r"opset \d+ is under development|ir[ _]version:? \d+", lowered):
        what = newer[0].removesuffix(" is under development").replace(":", "")
        return (
            f"{path} needs a newer onnxruntime than {onnxruntime.__version__}: it has {what}",
            "pip install --upgrade onnxruntime",
        )
    if operator := _UNKNOWN_OPERATOR.search(reason):
        name = next(filter(None, operator.groups()))
        return (
            f"{path} uses the operator {name}, which onnxruntime {onnxruntime.__version__} cannot run",
            "export it with operators of the ONNX standard, or pip install --upgrade onnxruntime",
        )
    # "Use external data" is its advice on weights too large to be true.
    if "external" in lowered.replace("use external data", ""):
        return (
            f"{path} keeps weights in another file that cannot be used: {reason}",
            "export it as one file, as edge export does; weights elsewhere are not read",
        )
    if "protobuf" in lowered or "modelproto" in lowered or isinstance(error, UnicodeDecodeError):
        return f"{path} is not an ONNX file, or was cut short", "copy it again, or export it again"
    return f"onnxruntime cannot load {path}: {reason}", "export it again with edge export"


def plain_reason(reason: str) -> str:
    """An error of onnxruntime without its codes, the file's name and the places in its sources, on one short line."""
    reason = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(reason.split()))
    reason = re.sub(r"^Load model from .*? failed: ?", "", reason)
    reason = re.sub(r"/\S+\.(?:cc|cpp|h):\d+ (?:.*?\) ?(?:const )?)?", "", reason)
    reason = re.sub(r"\b\w+\.(?:cc|cpp|h):\d+ \w+ ", "", reason)
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 1]}…"
