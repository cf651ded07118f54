"""A model file of a few hundred bytes that answers by colour: what a test needs of a trained network, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime import INPUT_NAME, METADATA_KEY, OUTPUT_NAME, ModelCard, Preprocessing, Task

__all__ = ["write_heavy_model", "write_multi_label_model", "write_multi_task_model", "write_tiny_model"]

OPSET = 18
IR_VERSION = 10

# Mean colours lie in 0..1; times this, a pure red image is label 0 with more than 99 %.
SHARPNESS = 8.0


def write_tiny_model(
    path: Path,
    labels: Sequence[str] = ("a", "b", "c"),
    size: int = 32,
    *,
    batch: int | str = "batch",
    card: ModelCard | None = None,
    sharpness: float = SHARPNESS,
) -> Path:
    """Write an edge model for `size` × `size` pixel images to `path`, and give `path` back.

    A mostly red image is the first label, a green one the second, a blue one the third; further labels are never
    the most probable. `batch` as a number fixes the batch size. `card` replaces the card made from `labels`;
    with a lower `sharpness` the probabilities are more alike.
    """
    card = card or _card(labels, size)
    weights = np.zeros((3, len(labels)), np.float32)
    for channel in range(min(3, len(labels))):
        weights[channel, channel] = sharpness / 255
    nodes = [
        helper.make_node("MatMul", ["colour", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [OUTPUT_NAME], axis=-1),
    ]
    return _write(path, card, nodes, {OUTPUT_NAME: len(labels)}, {"weights": weights}, size=size, batch=batch)


def write_heavy_model(path: Path, size: int = 8, width: int = 3000) -> Path:
    """Write an edge model for `size` × `size` pixels whose answer costs `width`² multiplications, more than reading."""
    nodes = [
        helper.make_node("MatMul", ["colour", "wide"], ["first"]),
        helper.make_node("MatMul", ["first", "square"], ["second"]),
        helper.make_node("MatMul", ["second", "narrow"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [OUTPUT_NAME], axis=-1),
    ]
    constants = {"wide": np.ones((3, width)), "square": np.eye(width), "narrow": np.zeros((width, 3))}
    weights = {name: value.astype(np.float32) for name, value in constants.items()}
    return _write(path, _card(("a", "b", "c"), size), nodes, {OUTPUT_NAME: 3}, weights, size=size)


def write_multi_label_model(
    path: Path, labels: Sequence[str] = ("red", "green", "blue"), thresholds: Sequence[float] = (0.5, 0.25, 0.9)
) -> Path:
    """Write an edge model for 32 × 32 pixels whose three labels are each as probable as the picture has of a colour.

    A picture of half the channel's range has the label with 50 %; yellow is red and green.
    """
    card = replace(_card(labels), thresholds=tuple(thresholds))
    weights = np.eye(3, len(labels), dtype=np.float32) * np.float32(SHARPNESS / 255)
    bias = np.full(len(labels), -SHARPNESS / 2, np.float32)
    nodes = [
        helper.make_node("Gemm", ["colour", "weights", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], [OUTPUT_NAME]),
    ]
    return _write(path, card, nodes, {OUTPUT_NAME: len(labels)}, {"weights": weights, "bias": bias})


COLOUR, LIGHT = Task("colour", ("red", "green", "blue"), 1.25), Task("light", ("dark", "bright"))


def write_multi_task_model(path: Path) -> Path:
    """Write an edge model for 32 × 32 pixels of two tasks: which colour a picture is most of, and how light it is.

    It is bright where the mean over pixels and channels is above half.
    """
    card = replace(_card((*COLOUR.card_labels, *LIGHT.card_labels)), tasks=(COLOUR, LIGHT))
    weights = np.zeros((3, 5), np.float32)
    weights[:, :3] = np.eye(3) * SHARPNESS / 255
    weights[:, 4] = SHARPNESS / 255 / 3
    bias = np.array([0, 0, 0, SHARPNESS / 2, 0], np.float32)
    nodes = [
        helper.make_node("Gemm", ["colour", "weights", "bias"], ["logits"]),
        helper.make_node("Split", ["logits", "sizes"], ["first", "second"], axis=-1),
        helper.make_node("Softmax", ["first"], [COLOUR.output], axis=-1),
        helper.make_node("Softmax", ["second"], [LIGHT.output], axis=-1),
    ]
    constants = {"weights": weights, "bias": bias, "sizes": np.array([3, 2], np.int64)}
    return _write(path, card, nodes, {COLOUR.output: 3, LIGHT.output: 2}, constants)


def _card(labels: Sequence[str], size: int = 32) -> ModelCard:
    return ModelCard(
        labels=tuple(labels),
        preprocessing=Preprocessing(resize_px=size, height_px=size, width_px=size, interpolation="bilinear"),
        backbone="tiny",
        strategy="scratch",
        metrics={"val": {"accuracy": 1.0, "n": 3}},
        created="2026-01-01T00:00:00.000000+00:00",
    )


def _write(
    path: Path,
    card: ModelCard,
    nodes: Sequence[onnx.NodeProto],
    outputs: Mapping[str, int],
    constants: Mapping[str, np.ndarray],
    *,
    size: int = 32,
    batch: int | str = "batch",
) -> Path:
    """A graph from the mean `colour` of the picture, [batch, 3] in 0..255, through `nodes`."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", [INPUT_NAME], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels", "sides"], ["colour"], keepdims=0),
            *nodes,
        ],
        "tiny",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, [batch, size, size, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, classes]) for name, classes in outputs.items()],
        [numpy_helper.from_array(np.array([1, 2], np.int64), "sides")]
        + [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name = "edge"
    model.metadata_props.add(key=METADATA_KEY, value=card.dumps())
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(path))
    return path
