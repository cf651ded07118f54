"""A model file of a few hundred bytes that answers by colour: what a test needs of a trained network, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime import INPUT_NAME, METADATA_KEY, OUTPUT_NAME, ModelCard, Preprocessing

__all__ = ["write_tiny_model"]

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
    preprocessing = Preprocessing(resize_px=size, height_px=size, width_px=size, interpolation="bilinear")
    card = card or ModelCard(
        labels=tuple(labels),
        preprocessing=preprocessing,
        backbone="tiny",
        strategy="scratch",
        metrics={"val": {"accuracy": 1.0, "n": 3}},
        created="2026-01-01T00:00:00.000000+00:00",
    )
    weights = np.zeros((3, len(labels)), np.float32)
    for channel in range(min(3, len(labels))):
        weights[channel, channel] = sharpness / 255
    graph = helper.make_graph(
        [
            helper.make_node("Cast", [INPUT_NAME], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels", "sides"], ["colour"], keepdims=0),
            helper.make_node("MatMul", ["colour", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], [OUTPUT_NAME], axis=-1),
        ],
        "tiny",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, [batch, size, size, 3])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, [batch, len(labels)])],
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "sides"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name = "edge"
    model.metadata_props.add(key=METADATA_KEY, value=card.dumps())
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(path))
    return path
