"""Biases make up for the rounding of weights: on average a layer gives what it gave before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("torch")

from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_export.precision.int8_biases import correct_biases, mean_inputs
from edge_export.precision.int8_scales import RoundingScales
from edge_runtime import open_session

CHANNELS = 4


def one_layer(node: onnx.NodeProto, weight: NDArray[np.float32]) -> onnx.ModelProto:
    """`image`, one layer with a bias, `out`."""
    spatial = [5, 5] if node.op_type == "Conv" else []
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "layer",
        [value("image", TensorProto.FLOAT, ["n", CHANNELS, *spatial])],
        [value("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.ones(len(weight), np.float32), "b")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def average(model: onnx.ModelProto, batches: list[NDArray[np.float32]], path: Path) -> NDArray[np.float64]:
    onnx.save_model(model, str(path))
    session = open_session(path, threads=1)
    given = np.concatenate([session.run(["out"], {"image": batch})[0] for batch in batches])
    return given.mean(axis=tuple(axis for axis in range(given.ndim) if axis != 1), dtype=np.float64)


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (helper.make_node("Conv", ["image", "w", "b"], ["out"], name="layer"), (6, CHANNELS, 1, 1)),
        (helper.make_node("Conv", ["image", "w", "b"], ["out"], name="layer", group=2), (6, CHANNELS // 2, 1, 1)),
        (helper.make_node("Conv", ["image", "w", "b"], ["out"], name="layer", group=CHANNELS), (CHANNELS, 1, 1, 1)),
        (helper.make_node("Gemm", ["image", "w", "b"], ["out"], name="layer", transB=1), (6, CHANNELS)),
    ],
    ids=["dense", "grouped", "depthwise", "linear"],
)
def test_the_mean_stays_though_weights_are_rounded(
    node: onnx.NodeProto, shape: tuple[int, ...], tmp_path: Path
) -> None:
    draw = np.random.default_rng(0)
    model = one_layer(node, draw.normal(size=shape).astype(np.float32))
    entering = (2, CHANNELS, 5, 5) if node.op_type == "Conv" else (2, CHANNELS)
    # Each channel has a mean of its own, so that a mix-up of channels shows.
    offsets = np.array([1.0, -2.0, 5.0, 0.5]).reshape(CHANNELS, *[1] * (len(entering) - 2))
    batches = [(draw.normal(size=entering) + offsets).astype(np.float32) for _ in range(8)]
    before = average(model, batches, tmp_path / "float.onnx")
    means = mean_inputs(model, batches, tmp_path / "means.onnx", threads=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["float.onnx"]
    scales = RoundingScales(model.graph, {"image": (-5.0, 8.0), "out": (-20.0, 20.0)}, ["layer"])
    ((name, _, steps),) = scales.weights()
    weight, bias = model.graph.initializer
    assert name == weight.name
    step = steps.reshape(-1, *[1] * (len(shape) - 1))
    correct_biases(model.graph, scales, means)
    corrected = numpy_helper.to_array(bias)
    rounded = (np.round(numpy_helper.to_array(weight) / step) * step).astype(np.float32)
    weight.CopyFrom(numpy_helper.from_array(rounded, "w"))
    np.testing.assert_allclose(average(model, batches, tmp_path / "mended.onnx"), before, atol=1e-5)
    bias.CopyFrom(numpy_helper.from_array(np.ones_like(corrected), "b"))
    assert np.abs(average(model, batches, tmp_path / "rounded.onnx") - before).max() > 1e-3


def test_a_layer_that_stays_in_float_keeps_its_bias() -> None:
    node = helper.make_node("Conv", ["image", "w", "b"], ["out"], name="layer")
    model = one_layer(node, np.full((2, CHANNELS, 1, 1), 0.123, np.float32))
    means = {"image": np.ones(CHANNELS)}
    correct_biases(model.graph, RoundingScales(model.graph, {"image": (0.0, 1.0), "out": (0.0, 1.0)}, []), means)
    assert numpy_helper.to_array(model.graph.initializer[1]).tolist() == [1.0, 1.0]
