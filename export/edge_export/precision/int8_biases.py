"""Biases that make up for what rounding does to a layer's weights on average.

A rounded weight is off by `e`; over many images its layer's output is then off by `e` times the mean of what enters it,
always to the same side. That much is added to the bias (Nagel, van Baalen, Blankevoort and Welling, "Data-free
quantization through weight equalization and bias correction", ICCV 2019, section 4.2). It costs nothing at inference.
Means are over whole inputs, so that at a picture's padded edge it is an approximation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge_export.precision.int8_scales import LARGEST_WEIGHT, RoundingScales
from edge_runtime import INPUT_NAME, open_session

_BIASED_OPS = frozenset({"Conv", "Gemm"})
# Of the calibration images; a mean needs no more.
_MEAN_BATCHES = 32


def mean_inputs(
    prepared: onnx.ModelProto, batches: Sequence[NDArray[np.uint8]], augmented: Path, *, threads: int | None
) -> dict[str, NDArray[np.float64]]:
    """The mean of each channel that enters a convolution or linear layer with a bias, by the activation's name.

    `batches` are images spread over the data; some of them are enough, evenly taken. `augmented` is a file to write.
    """
    names = sorted({node.input[0] for node in _biased(prepared.graph)})
    if not names:
        return {}
    model = onnx.ModelProto()
    model.CopyFrom(prepared)
    given = {output.name for output in model.graph.output}
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in given)
    onnx.save_model(model, str(augmented))
    session = open_session(augmented, threads=threads)
    some = batches[:: max(len(batches) // _MEAN_BATCHES, 1)]
    sums: dict[str, NDArray[np.float64]] = {}
    for batch in some:
        for name, value in zip(names, session.run(names, {INPUT_NAME: batch}), strict=True):
            axes = tuple(axis for axis in range(value.ndim) if axis != 1)
            sums[name] = sums.get(name, 0.0) + value.mean(axis=axes, dtype=np.float64)
    augmented.unlink()
    return {name: total / len(some) for name, total in sums.items()}


def correct_biases(graph: onnx.GraphProto, scales: RoundingScales, means: Mapping[str, NDArray[np.float64]]) -> None:
    """Add to the biases of the layers that `scales` quantises what their rounded weights lose on average."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    steps = {name: (axis, sizes) for name, axis, sizes in scales.weights()}
    for node in _biased(graph):
        axis, sizes = steps.get(node.input[1], (1, None))
        if sizes is None or axis != 0 or node.input[0] not in means:
            continue
        weight = numpy_helper.to_array(constants[node.input[1]]).astype(np.float64)
        step = sizes.reshape(-1, *[1] * (weight.ndim - 1))
        lost = weight - np.clip(np.round(weight / step), -LARGEST_WEIGHT, LARGEST_WEIGHT) * step
        bias = numpy_helper.to_array(constants[node.input[2]])
        mended = bias + _weighed(lost.reshape(*lost.shape[:2], -1).sum(axis=2), means[node.input[0]])
        constants[node.input[2]].CopyFrom(numpy_helper.from_array(mended.astype(np.float32), node.input[2]))


def _weighed(lost: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each output `[outputs]`: what is lost by each of its inputs, `[outputs, inputs]`, times that one's mean.

    Where there are more means than inputs the outputs are in groups, each of which sees its own share of them.
    """
    groups = len(means) // lost.shape[1]
    shares = means.reshape(groups, 1, lost.shape[1])
    return np.asarray((lost.reshape(groups, -1, lost.shape[1]) * shares).sum(axis=2).reshape(-1))


def _biased(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Layers whose weight and bias are constants that no other layer has."""
    constants = {tensor.name for tensor in graph.initializer}
    readers: dict[str, int] = {}
    for node in graph.node:
        for name in node.input:
            readers[name] = readers.get(name, 0) + 1
    return [
        node
        for node in graph.node
        if node.op_type in _BIASED_OPS
        and len(node.input) > 2
        and {node.input[1], node.input[2]} <= constants
        and readers[node.input[2]] == 1
    ]
