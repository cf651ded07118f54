"""Steps of int8: no processor can saturate with them, and none rounds otherwise than exact arithmetic does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

pytest.importorskip("torch")

from edge_export.precision.int8 import to_int8
from edge_export.precision.int8_scales import RoundingScales, _fraction
from edge_runtime import Classifier
from edge_runtime.model.onnx_bytes import largest_int8_weight
from quantized_nets import colours, drawn, point, write_deep_net, write_net


def constants(path: Path) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_kernels_give_what_exact_arithmetic_gives(tmp_path: Path, *, clip: bool, mixed: bool) -> None:
    pixels, _ = colours(24)
    to_int8(
        write_deep_net(tmp_path / "net.onnx", clip=clip), tmp_path / "int8.onnx", [pixels[:8]], mixed=mixed, threads=1
    )
    kernels, exact = (Classifier(tmp_path / "int8.onnx", threads=1, exact=exact) for exact in (False, True))
    found = kernels.probabilities(pixels)
    assert found.std(axis=0).max() > 0.01, "the network must tell pictures apart"
    assert np.abs(found - exact.probabilities(pixels)).max() < 2e-6


def test_two_products_of_the_largest_weights_fit_into_16_bits(tmp_path: Path) -> None:
    to_int8(write_deep_net(tmp_path / "net.onnx", clip=False), tmp_path / "int8.onnx", [colours(4)[0]], threads=1)
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
    assert found and all(5.9 < 255 * scale < 6.0001 for scale in found.values())


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0, 6), (-3, 5), (-0.1, 800), (-7, 0), (0, 0), (2, 3), (-1e-9, 1e-9), (-1, 1e6)]
)
def test_steps_hold_the_range_and_zero(low: float, high: float) -> None:
    ((name, steps),) = RoundingScales(onnx.GraphProto(), {"x": (low, high)}, []).steps()
    assert name == "x" and 0 <= steps.zero <= 255
    bottom, top = -steps.zero * steps.size, (255 - steps.zero) * steps.size
    assert bottom <= min(low, 0) + 0.51 * steps.size and top >= max(high, 0) - 0.51 * steps.size
    assert top - bottom == pytest.approx(max(max(high, 0) - min(low, 0), 255 * 2.0**-30), rel=1e-6)


@pytest.mark.parametrize("ratio", [3.0, 1.0, 0.7, 0.3, 0.11, 0.02, 1 / 300, 1 / 1000.5, 1 / 4095, 1e-5])
def test_a_fraction_is_over_an_odd_number_and_hardly_larger(ratio: float) -> None:
    found = _fraction(ratio)
    assert ratio * 0.999999 <= found <= max(1.15 * ratio, 1 / 4095 + 1e-9)
    assert odd_fraction(found) < 1e-9


def odd_fraction(ratio: float) -> float:
    """How far, relatively, a number is from the nearest M / q with q odd, 4,095 at most, and M 8 at most."""
    q = np.arange(1, 4096, 2)
    m = np.maximum(np.round(ratio * q), 1)
    error = np.where(m <= max(8, ratio), np.abs(m / q - ratio) / ratio, 1)
    return float(error.min())


def test_no_sum_can_be_a_half(tmp_path: Path) -> None:
    to_int8(write_deep_net(tmp_path / "net.onnx", clip=False), tmp_path / "int8.onnx", [colours(4)[0]], threads=1)
    graph = onnx.load(tmp_path / "int8.onnx").graph
    found = constants(tmp_path / "int8.onnx")
    makers = {output: node for node in graph.node for output in node.output}
    readers = {name: node for node in graph.node for name in node.input}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 12
    for node in convolutions:
        taken, weights = (found[makers[name].input[1]] for name in node.input[:2])
        ratios = taken * weights.astype(np.float64) / found[readers[node.output[0]].input[1]]
        assert max(map(odd_fraction, ratios)) < 3e-7


def test_a_bias_far_above_its_weights_stays_exact(tmp_path: Path) -> None:
    faint = write_net(
        tmp_path / "net.onnx", [drawn(3, 3, 3, 3) * 1e-9, point(np.eye(3))], bias=np.array([1, 2, 3], np.float32)
    )
    to_int8(faint, tmp_path / "int8.onnx", [colours(4)[0]], threads=1)
    biases = [value for value in constants(tmp_path / "int8.onnx").values() if value.dtype == np.int32]
    assert biases and all(np.abs(value).max() <= 1 << 20 for value in biases)
    classifiers = [Classifier(tmp_path / name, threads=1) for name in ("net.onnx", "int8.onnx")]
    found = [each.probabilities(colours(4)[0]) for each in classifiers]
    assert np.abs(found[0] - found[1]).max() < 0.02


def test_what_is_added_multiplied_or_averaged_is_no_half_either(tmp_path: Path) -> None:
    net = onnx.load(write_net(tmp_path / "net.onnx", [drawn(3, 3, 3, 3), point(np.eye(3))]))
    (first, *_) = [node for node in net.graph.node if node.op_type == "Relu"]
    given, first.output[0] = first.output[0], "between"
    added = helper.make_node("Add", ["between", "shift"], ["added"], name="add")
    scaled = helper.make_node("Mul", ["added", "scale"], ["scaled"], name="mul")
    mean = helper.make_node("AveragePool", ["scaled"], [given], name="mean", kernel_shape=[2, 2], strides=[2, 2])
    for name, value in (("shift", [0.3, -0.7, 0.1]), ("scale", [0.9, 1.3, 0.2])):
        net.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32).reshape(1, 3, 1, 1), name))
    place = list(net.graph.node).index(first) + 1
    for node in (mean, scaled, added):
        net.graph.node.insert(place, node)
    onnx.save(net, tmp_path / "net.onnx")
    pixels, _ = colours(12)
    to_int8(tmp_path / "net.onnx", tmp_path / "int8.onnx", [pixels], threads=1)
    kernels, exact = (Classifier(tmp_path / "int8.onnx", threads=1, exact=exact) for exact in (False, True))
    assert np.abs(kernels.probabilities(pixels) - exact.probabilities(pixels)).max() < 2e-6
    found = {name: float(value) for name, value in constants(tmp_path / "int8.onnx").items() if name.endswith("_scale")
             and value.ndim == 0}  # fmt: skip
    for ratio in (found["between_scale"] / found["added_scale"], found["shift_scale"] / found["added_scale"]):
        assert is_over_odd(ratio, 1000)
    assert is_over_odd(found["added_scale"] * found["scale_scale"] / found["scaled_scale"], 1000)
    assert is_over_odd(found["scaled_scale"] / found[f"{given}_scale"] / 4, 1021)


def is_over_odd(ratio: float, most: int) -> bool:
    """Whether a number is a fraction over an odd number, `most` at most."""
    multiples = ratio * np.arange(1, most + 1, 2)
    return bool((np.abs(multiples - np.round(multiples)) < 1e-4).any())
