"""Small classifiers of colours as model files, written without torch: made to be easy, or hopeless, in int8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_export.precision.split_figure import LabelledImages
from edge_runtime import INPUT_NAME, METADATA_KEY, OUTPUT_NAME, ModelCard, Preprocessing

LABELS = ("red", "green", "blue")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZE = 24


def card(height: int = SIZE, width: int = SIZE, labels: Sequence[str] = LABELS) -> ModelCard:
    contract = Preprocessing(resize_px=min(height, width), height_px=height, width_px=width, interpolation="bilinear")
    return ModelCard(labels=tuple(labels), preprocessing=contract, backbone="tiny", strategy="scratch")


def write_net(
    path: Path,
    convs: Sequence[NDArray[np.float32]],
    *,
    height: int = SIZE,
    width: int = SIZE,
    strides: int = 1,
    pads: Sequence[int] | None = None,
    clip: bool = False,
    head: NDArray[np.float32] | None = None,
    swish: bool = False,
    bias: NDArray[np.float32] | None = None,
    behind: Sequence[tuple[str, NDArray[np.float32]]] = (),
) -> Path:
    """A chain of convolutions with ReLUs, pooling and a linear layer; the first has `strides`, `pads` and `bias`.

    `behind` it are operations with a constant each.
    """
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, NDArray[np.generic]] = {}

    def add(op: str, *inputs: str, **settings: object) -> str:
        output = OUTPUT_NAME if op == "Softmax" else f"{op}_{len(nodes)}"
        nodes.append(helper.make_node(op, list(inputs), [output], name=output, **settings))
        return output

    def constant(name: str, value: NDArray[np.generic]) -> str:
        constants[name] = value
        return name

    per_channel = [(np.array(side, np.float32) * 255).reshape(1, 3, 1, 1) for side in (MEAN, STD)]
    value = add("Cast", add("Transpose", INPUT_NAME, perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    value = add("Sub", value, constant("mean", per_channel[0]))
    value = add("Div", value, constant("std", per_channel[1]))
    for index, weight in enumerate(convs):
        around = list(pads) if pads is not None and index == 0 else [weight.shape[2] // 2] * 4
        step = [strides if index == 0 else 1] * 2
        name = constant(f"network.backbone.conv{index}.weight", weight)
        inputs = [value, name]
        if bias is not None and index == 0:
            inputs.append(constant("network.backbone.conv0.bias", bias))
        value = add("Conv", *inputs, pads=around, strides=step, kernel_shape=list(weight.shape[2:]))
        for op, operand in behind if index == 0 else ():
            value = add(op, value, constant(f"behind{len(nodes)}", operand))
        if clip:
            limits = (constant("low", np.array(0, np.float32)), constant("high", np.array(6, np.float32)))
            value = add("Clip", value, *limits)
        elif swish:
            value = add("HardSwish", value)
        else:
            value = add("Relu", value)
    value = add("ReduceMean", value, constant("axes", np.array([-1, -2])), keepdims=1)
    value = add("Reshape", value, constant("flat", np.array([0, -1])))
    head = np.eye(len(convs[-1]), dtype=np.float32) * 4 if head is None else head
    value = add("Gemm", value, constant("network.backbone.fc.weight", head), transB=1)
    add("Softmax", value, axis=1)
    labels = LABELS if len(head) == 3 else tuple(f"label {index}" for index in range(len(head)))
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["batch", height, width, 3])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["batch", len(head)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.metadata_props.add(key=METADATA_KEY, value=card(height, width, labels).dumps())
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(path))
    return path


def write_labels(path: Path, source: Path, thresholds: Sequence[float]) -> Path:
    """The classifier at `source` as one whose pictures may have several colours: a sigmoid for its softmax."""
    model = onnx.load(source)
    (last,) = (node for node in model.graph.node if node.op_type == "Softmax")
    last.CopyFrom(helper.make_node("Sigmoid", list(last.input), list(last.output), name="Sigmoid"))
    told = replace(card(), thresholds=tuple(thresholds))
    model.metadata_props[0].value = told.dumps()
    onnx.save_model(model, str(path))
    return path


def point(weight: NDArray[np.float64] | Sequence[Sequence[float]]) -> NDArray[np.float32]:
    """A 1 × 1 convolution's weights from a matrix `[out, in]`."""
    return np.asarray(weight, np.float32)[:, :, np.newaxis, np.newaxis]


def write_easy(path: Path) -> Path:
    """Six layers that pass the colours on: int8 loses nothing."""
    return write_net(path, [point(np.eye(3)) for _ in range(5)])


def write_hopeless(path: Path, *, layers_after: int) -> Path:
    """Between the first two layers a useless fourth channel is 100,000 times the others: int8 steps over them."""
    grown = np.vstack([np.eye(3), np.full((1, 3), 1e5)])
    shrunk = np.hstack([np.eye(3), np.zeros((3, 1))])
    return write_net(path, [point(grown), point(shrunk), *(point(np.eye(3)) for _ in range(layers_after))])


def colours(count: int = 48, *, height: int = SIZE, width: int = SIZE) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noisy bright images of which one colour is the strongest, and its index."""
    draw = np.random.default_rng(0)
    labels = np.arange(count, dtype=np.int64) % 3
    pixels = draw.integers(60, 200, (count, height, width, 3))
    pixels[np.arange(count), :, :, labels] += 55
    return pixels.astype(np.uint8), labels


def batches(count: int = 48) -> LabelledImages:
    pixels, labels = colours(count)
    return lambda: ((pixels[at : at + 16], labels[at : at + 16]) for at in range(0, count, 16))


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    """Weights that are drawn, as wide as a layer's own."""
    return np.random.default_rng(seed).normal(0, 0.3, shape).astype(np.float32)


def write_deep_net(path: Path, *, clip: bool) -> Path:
    """Twelve convolutions: what is rounded otherwise once grows on the way."""
    convs = [drawn(16, 3, 3, 3), *(0.45 * drawn(16, 16, 3, 3, seed=seed) for seed in range(1, 12))]
    return write_net(path, convs, clip=clip, head=4 * drawn(3, 16, seed=20))
