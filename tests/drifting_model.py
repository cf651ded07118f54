"""An int8 file that a kernel answers otherwise than its graph: a half is rounded before its zero is added, or after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime import INPUT_NAME, METADATA_KEY, OUTPUT_NAME, Classifier
from tiny_model import write_tiny_model

__all__ = ["write_drifting_model"]


def write_drifting_model(path: Path, *, largest: int = 127, zero: int = 1) -> Path:
    """A file that answers by dark colours, with an int8 weight of the size `largest`; with an even `zero` it is exact.

    It doubles a colour and counts in steps of 4: of 1 and of 3 in 255 a half is left over.
    """
    card = replace(Classifier(write_tiny_model(path)).card, precision="int8")
    nodes = [
        helper.make_node("Cast", [INPUT_NAME], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "sides"], ["colour"], keepdims=0),
    ]

    def step(name: str, scale: float, point: int) -> list[onnx.TensorProto]:
        return [
            numpy_helper.from_array(np.array(scale, np.float32), f"{name}_scale"),
            numpy_helper.from_array(np.array(point, np.uint8), f"{name}_zero"),
        ]

    def quantized(value: str, name: str) -> str:
        steps = [f"{name}_scale", f"{name}_zero"]
        nodes.append(helper.make_node("QuantizeLinear", [value, *steps], [f"{value}_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{value}_q", *steps], [f"{value}_dq"]))
        return f"{value}_dq"

    colour = quantized("colour", "in")
    nodes.append(helper.make_node("DequantizeLinear", ["kernel", "in_scale"], ["weight"]))
    nodes.append(helper.make_node("Add", [colour, colour], ["twice"]))
    nodes.append(helper.make_node("Mul", [quantized("twice", "out"), "sharp"], ["logits"]))
    nodes.append(helper.make_node("Softmax", ["logits"], [OUTPUT_NAME], axis=-1))
    graph = helper.make_graph(
        nodes,
        "drifting",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["batch", 32, 32, 3])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["batch", 3])],
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "sides"),
            numpy_helper.from_array(np.array([largest, -1], np.int8), "kernel"),
            numpy_helper.from_array(np.array(0.5, np.float32), "sharp"),
            *step("in", 1.0, 0),
            *step("out", 4.0, zero),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.metadata_props.add(key=METADATA_KEY, value=card.dumps())
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(path))
    return path
