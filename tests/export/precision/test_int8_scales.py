"""Steps of int8: no processor can saturate with them, and none rounds otherwise than exact arithmetic does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

pytest.importorskip("torch")

from edge_export.precision.int8 import to_int8
from edge_export.precision.int8_scales import ExactScales
from edge_runtime import Classifier
from edge_runtime.model.onnx_bytes import largest_int8_weight
from quantized_nets import colours, point, write_net


def constants(path: Path) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.3, shape).astype(np.float32)


def deep(path: Path, *, clip: bool) -> Path:
    """Twelve convolutions whose every step was an odd number: what is rounded otherwise once grows on the way."""
    convs = [drawn(16, 3, 3, 3), *(0.45 * drawn(16, 16, 3, 3, seed=seed) for seed in range(1, 12))]
    return write_net(path, convs, clip=clip, head=4 * drawn(3, 16, seed=20))


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_kernels_give_what_exact_arithmetic_gives(tmp_path: Path, *, clip: bool, mixed: bool) -> None:
    pixels, _ = colours(24)
    to_int8(deep(tmp_path / "net.onnx", clip=clip), tmp_path / "int8.onnx", [pixels[:8]], mixed=mixed, threads=1)
    kernels, exact = (Classifier(tmp_path / "int8.onnx", threads=1, exact=exact) for exact in (False, True))
    found = kernels.probabilities(pixels)
    assert found.std(axis=0).max() > 0.01, "the network must tell pictures apart"
    assert np.abs(found - exact.probabilities(pixels)).max() < 2e-6


def test_two_products_of_the_largest_weights_fit_into_16_bits(tmp_path: Path) -> None:
    to_int8(deep(tmp_path / "net.onnx", clip=False), tmp_path / "int8.onnx", [colours(4)[0]], threads=1)
    weights = [value for value in constants(tmp_path / "int8.onnx").values() if value.dtype == np.int8 and value.any()]
    assert len(weights) == 13
    largest = max(int(np.abs(value.astype(int)).max()) for value in weights)
    assert largest == largest_int8_weight(tmp_path / "int8.onnx")
    assert 48 < largest <= 64 and 2 * 255 * largest < 1 << 15


def test_a_clip_at_six_lets_no_more_than_six_through(tmp_path: Path) -> None:
    bright = [point(np.eye(3) * 40), point(np.eye(3))]
    net = write_net(tmp_path / "net.onnx", bright, clip=True)
    to_int8(net, tmp_path / "int8.onnx", [colours(8)[0]], threads=1)
    found = {n: float(v) for n, v in constants(tmp_path / "int8.onnx").items() if "Clip" in n and n.endswith("_scale")}
    assert found and all(5.9 < 255 * scale <= 6 for scale in found.values())


def scales(low: float, high: float) -> ExactScales:
    """Of one activation that nothing in the graph computes."""
    return ExactScales(onnx.GraphProto(), {"x": (low, high)}, [])


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0, 6), (-3, 5), (-0.1, 800), (-7, 0), (0, 0), (2, 3), (-1e-9, 1e-9), (-1, 1e6)]
)
def test_steps_hold_the_range_and_lose_at_most_one_bit(low: float, high: float) -> None:
    steps = scales(low, high).steps["x"]
    assert np.frexp(steps.size)[0] == 0.5 and steps.zero % 2 == 0 and 0 <= steps.zero <= 255
    bottom, top = steps.range
    width = max(high, 0) - min(low, 0)
    assert bottom <= min(low, 0) + 2.5 * steps.size and top >= max(high, 0) - 2.5 * steps.size
    assert top - bottom <= max(2.1 * width, 1e-6)


def test_a_bias_far_above_its_weights_stays_exact(tmp_path: Path) -> None:
    faint = write_net(
        tmp_path / "net.onnx", [drawn(3, 3, 3, 3) * 1e-9, point(np.eye(3))], bias=np.array([1, 2, 3], np.float32)
    )
    to_int8(faint, tmp_path / "int8.onnx", [colours(4)[0]], threads=1)
    biases = [value for value in constants(tmp_path / "int8.onnx").values() if value.dtype == np.int32]
    assert biases and all(np.abs(value).max() < 1 << 20 for value in biases)
    classifiers = [Classifier(tmp_path / name, threads=1) for name in ("net.onnx", "int8.onnx")]
    found = [each.probabilities(colours(4)[0]) for each in classifiers]
    assert np.abs(found[0] - found[1]).max() < 0.02
