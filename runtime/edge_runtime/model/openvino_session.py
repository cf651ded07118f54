"""A model file run by OpenVINO, with the face of an onnxruntime session: what an open graph asks of one.

The file is the same .onnx; OpenVINO drops its metadata, which are read from the same bytes. Compiling takes 0.2 s
(MobileNetV2 in fp32) to 0.7 s (in int8); OpenVINO's own cache of compiled models would save most of it, but is a second
file in a format of its own that decides what the program answers, for a start that onnxruntime has faster anyway.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import ModelError, UsageError
from edge_runtime.extras import require_extra
from edge_runtime.machine.resources import usable_cores
from edge_runtime.model.onnx_bytes import read_metadata
from edge_runtime.model.session import check_opening

# As onnxruntime calls them; OpenVINO's names are its own.
_TYPES = {"u8": "tensor(uint8)", "f32": "tensor(float)", "f16": "tensor(float16)"}


@dataclass(frozen=True, slots=True)
class _Node:
    """An input or output; a free side is a text, as in onnxruntime."""

    name: str
    type: str
    shape: list[int | str]


@dataclass(frozen=True, slots=True)
class _Meta:
    custom_metadata_map: Mapping[str, str]


class OpenVinoSession:
    """A compiled model; threads may share it."""

    def __init__(self, compiled: Any, metadata: Mapping[str, str]) -> None:
        self._compiled = compiled
        self._meta = _Meta(metadata)
        # A request runs one input at a time; as many are made as threads have run at once.
        self._idle: deque[Any] = deque()

    def get_modelmeta(self) -> _Meta:
        """The file's metadata."""
        return self._meta

    def get_inputs(self) -> list[_Node]:
        """Name, type and shape of each input."""
        return _nodes(self._compiled.inputs)

    def get_outputs(self) -> list[_Node]:
        """Name, type and shape of each output."""
        return _nodes(self._compiled.outputs)

    def run(self, outputs: list[str], feed: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """The `outputs` for the inputs of `feed`. Raises OpenVINO's RuntimeError."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            found = request.infer(dict(feed))
            # Copies: the next picture's answer would be written over this one's.
            return [np.array(found[name]) for name in outputs]
        finally:
            self._idle.append(request)


def open_openvino(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    bfloat16: bool = False,
    verified: bytes | None = None,
) -> OpenVinoSession:
    """The model file at `path`, compiled for this processor; `threads` as for `open_session`.

    It computes in float32, as onnxruntime does, where OpenVINO left alone takes bfloat16; with `bfloat16` in that,
    which is faster where the processor has it, and gives other answers. `verified` are the bytes to open in its place.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        UsageError: no such file, or `threads` makes no sense, or the processor has no bfloat16.
        ModelError: the file is damaged, or OpenVINO cannot run it.
    """
    path = Path(path)
    check_opening(path, threads)
    require_extra("fast")
    data = path.read_bytes() if verified is None else verified
    # First: what is no ONNX file is said in the words that onnxruntime's refusal has.
    metadata = read_metadata(path, data)
    core = import_module("openvino").Core()
    if bfloat16 and not has_bfloat16():
        raise UsageError("this processor has no bfloat16 arithmetic", "choose another `engine`")
    try:
        compiled = core.compile_model(core.read_model(data, b""), "CPU", _settings(threads or usable_cores(), bfloat16))
        session = OpenVinoSession(compiled, metadata)
        _ = session.get_inputs(), session.get_outputs()
    except Exception as error:  # a RuntimeError with the place in its sources, or others
        hint = "onnxruntime may: leave `engine` out"
        raise ModelError(f"openvino cannot run {path}: {_reason(error)}", hint) from error
    return session


def has_bfloat16() -> bool:
    """Whether OpenVINO is here and this processor computes in bfloat16."""
    with suppress(Exception):
        return "BF16" in import_module("openvino").Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return False


def _settings(threads: int, bfloat16: bool) -> dict[str, Any]:
    # A stream runs one picture at a time. Those who ask for one thread bring threads of their own, as for onnxruntime,
    # and each is to get a core; an idle stream costs next to nothing.
    streams = usable_cores() if threads == 1 else 1
    return {
        "INFERENCE_NUM_THREADS": max(threads, streams),
        "NUM_STREAMS": streams,
        "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        # A thread that is tied to a core waits for whatever else runs there: twice as long, with one other process.
        "ENABLE_CPU_PINNING": False,
    }


def _nodes(ports: Any) -> list[_Node]:
    return [
        _Node(
            name,
            _TYPES.get(kind := port.get_element_type().get_type_name(), kind),
            [side.get_length() if side.is_static else "n" for side in port.get_partial_shape()],
        )
        for port in ports
        for name in sorted(port.get_names())
    ]


def _reason(error: Exception) -> str:
    """What OpenVINO says last, on one short line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
