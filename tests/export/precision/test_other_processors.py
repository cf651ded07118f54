"""The same int8 file on another processor: QEMU's Haswell has AVX2 and no VNNI, and onnxruntime takes its kernels."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from edge_export.precision.int8 import CALIBRATION_BATCH, to_int8
from edge_export.precision.int8_graph import prepare_graph
from edge_runtime import INPUT_NAME, Classifier, int8_origin
from quantized_nets import colours, write_net

QEMU = shutil.which("qemu-x86_64") or ""
ANSWER = """
import sys
import numpy, onnxruntime

pixels = numpy.load(sys.argv[1])
for path in sys.argv[2:]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    numpy.save(path + ".npy", session.run(["probabilities"], {"image": pixels})[0])
"""


class Reader:
    """Calibration images, as onnxruntime's own quantizer takes them."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.left = [pixels[at : at + CALIBRATION_BATCH] for at in range(0, len(pixels), CALIBRATION_BATCH)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return {INPUT_NAME: self.left.pop()} if self.left else None


def as_an_older_edge(net: Path, path: Path, pixels: np.ndarray) -> None:
    """Weights of full range, and steps as calibration leaves them."""
    from onnxruntime.quantization import QuantType, quantize_static

    prepare_graph(net, path.with_suffix(".prepared"))
    quantize_static(
        path.with_suffix(".prepared"),
        path,
        Reader(pixels),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


@pytest.mark.skipif(not QEMU or platform.machine() != "x86_64", reason="qemu-x86_64 is absent")
def test_a_processor_without_vnni_answers_the_new_file_alike_and_the_old_one_otherwise(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    # Weights of one size: at full range, any two of them on bright pixels are too much for 16 bits.
    signs = [draw.choice([-1.0, 1.0], (16, before, 3, 3)) for before in (3, 16, 16)]
    convs = [(sign * 1.2 / np.sqrt(sign[0].size)).astype(np.float32) for sign in signs]
    net = write_net(tmp_path / "net.onnx", convs, head=draw.normal(0, 1, (3, 16)).astype(np.float32))
    pixels, _ = colours(24)
    to_int8(net, tmp_path / "new.onnx", [pixels], threads=1)
    as_an_older_edge(net, tmp_path / "old.onnx", pixels)
    np.save(tmp_path / "pixels.npy", pixels)
    files = [tmp_path / "new.onnx", tmp_path / "old.onnx"]
    packages = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    done = subprocess.run(
        [QEMU, "-cpu", "Haswell", os.path.realpath(sys.executable), "-c", ANSWER, tmp_path / "pixels.npy", *files],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": packages, "ORT_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    haswell = [np.load(f"{path}.npy") for path in files]
    exact = [Classifier(path, threads=1, exact=True).probabilities(pixels) for path in files]
    assert exact[0].std(axis=0).max() > 0.01, "the network must tell pictures apart"
    assert np.abs(haswell[0] - exact[0]).max() < 2e-6
    assert np.abs(haswell[1] - exact[1]).max() > 0.02
    assert [origin is not None and origin.portable for origin in map(int8_origin, files)] == [True, False]
