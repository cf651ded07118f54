"""Whether numpy, Pillow and onnxruntime work on this processor, found out in a process of its own.

A wheel built for newer processors does not raise: it is killed by the first instruction the processor lacks.
`python -m edge_runtime.machine.probe` says on stdout how far it came, and `run_probe()` what that means.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import signal
import subprocess
import sys
from dataclasses import dataclass

from edge_runtime.extras import package_version
from edge_runtime.machine.process import prepare_process
from edge_runtime.machine.started_python import python_command

STEPS = ("numpy", "pillow", "onnxruntime", "a model")
SIDE = 16
LIMIT_S = 120
# What Windows ends a process with for an illegal instruction.
_WINDOWS_ILLEGAL = 0xC000001D
_NUMPY_ILLEGAL = "built with baseline optimizations"


@dataclass(frozen=True, slots=True)
class Probe:
    """What does not work and what to do; both empty where all does. `step` is where it ended."""

    step: str = ""
    fault: str = ""
    hint: str = ""


def run_probe() -> Probe:
    """Import each package and run a small model, in a process that may be killed."""
    try:
        done = subprocess.run(
            python_command("-m", "edge_runtime.machine.probe"),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probe("a model", f"it does not end within {LIMIT_S} s", "pip install --force-reinstall onnxruntime")
    came = [line for line in done.stdout.splitlines() if line in STEPS]
    if done.returncode == 0 and len(came) == len(STEPS):
        return Probe()
    step = STEPS[min(len(came), len(STEPS) - 1)]
    package = "onnxruntime" if step == "a model" else step
    what = "running a model" if step == "a model" else f"importing {step}"
    said = _last_error(done.stderr)
    versioned = " ".join(filter(None, (package, package_version(package))))
    # numpy looks before it dies, and raises.
    if done.returncode in (-getattr(signal, "SIGILL", 4), _WINDOWS_ILLEGAL) or _NUMPY_ILLEGAL in said:
        return Probe(step, f"{what} dies of an illegal instruction: {versioned} was built for newer "
                     f"processors than this {platform.machine()}", _older(package))  # fmt: skip
    if done.returncode == -getattr(signal, "SIGKILL", 9):
        return Probe(step, f"{what} is killed from outside", "memory may have run out: close other programs")
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return Probe(step, f"{what} dies of {name}", f"pip install --force-reinstall {package}")
    return Probe(step, f"{what} fails: {said}", f"pip install --force-reinstall {package}")


def _last_error(stderr: str) -> str:
    """What the traceback on stderr ends with, which may have several lines, on one."""
    lines = stderr.strip().splitlines() or ["no reason given"]
    for number, line in reversed(list(enumerate(lines))):
        if re.match(r"[\w.]*(Error|Exception)\b", line):
            return " ".join(" ".join(lines[number:]).split())
    return lines[-1]


def _older(package: str) -> str:
    """Which version to install: the oldest that edge works with, and what to do where that dies as well."""
    oldest = ""
    try:
        for requirement in importlib.metadata.requires("edge-vision") or ():
            name, _, bound = requirement.partition(">=")
            if name.strip() == package and ";" not in bound:
                oldest = bound.strip()
    except importlib.metadata.PackageNotFoundError:
        pass
    version = f"=={oldest}.*" if oldest else ""
    build = "build it from source on this machine: pip install --no-binary :all: --force-reinstall " + package
    if package == "onnxruntime":
        build = "build onnxruntime from source on this machine"
    return f"pip install '{package}{version}', the oldest edge works with; where that dies too, {build}"


def main() -> None:
    """Take the steps, each named on stdout once it is taken."""
    prepare_process()
    import numpy as np

    square = np.ones((SIDE, SIDE), np.float32) @ np.ones((SIDE, SIDE), np.float32)
    _say("numpy", square[0, 0] == SIDE)
    from PIL import Image

    _say("pillow", Image.new("RGB", (64, 64), "red").resize((32, 32), Image.Resampling.BICUBIC).size == (32, 32))
    import onnxruntime

    _say("onnxruntime", True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(_model(), options, providers=["CPUExecutionProvider"])
    (product,) = session.run(None, {"x": np.ones((SIDE, SIDE), np.float32)})
    _say("a model", bool(np.allclose(product, SIDE)))


def _say(step: str, right: bool) -> None:
    if not right:
        sys.exit(f"{step} gives wrong results")
    sys.stdout.write(f"{step}\n")
    sys.stdout.flush()


def _model() -> bytes:
    """An ONNX file that multiplies a float32 matrix by itself; by hand, as the base install has no onnx package."""
    shape = _part(2, b"".join(_part(1, _count(1, SIDE)) for _ in range(2)))
    value = _part(2, _part(1, _count(1, 1) + shape))
    node = _part(1, b"x") + _part(1, b"x") + _part(2, b"y") + _part(4, b"MatMul")
    graph = _part(1, node) + _part(2, b"probe") + _part(11, _part(1, b"x") + value) + _part(12, _part(1, b"y") + value)
    return _count(1, 8) + _part(7, graph) + _part(8, _part(1, b"") + _count(2, 13))


def _part(number: int, content: bytes) -> bytes:
    # Tags and lengths below 128 are one byte of protobuf; the graph is the longest part and stays below.
    return bytes([number << 3 | 2, len(content)]) + content


def _count(number: int, value: int) -> bytes:
    return bytes([number << 3, value])


if __name__ == "__main__":
    main()
