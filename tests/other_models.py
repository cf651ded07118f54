"""ONNX files that edge did not make: a classifier of pictures, and a graph that takes none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

__all__ = ["write_fixed", "write_foreign", "write_sum"]


def write_foreign(path: Path, *, size: int = 16, classes: int = 5, batch: int | str = "n") -> Path:
    """A classifier that edge did not make: float32 `[N, 3, H, W]` to scores; `batch` is its N, free or fixed."""
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["input"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weights"], ["scores"]),
        ],
        "foreign",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, size, size])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, classes])],
        [onnx.numpy_helper.from_array(np.ones((3, classes), np.float32), "weights")],
    )
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


def write_fixed(path: Path, batch: int, *, size: int = 8) -> Path:
    """A graph of a fixed batch of pictures that is no classifier, as a detector's."""
    sides = [batch, 3, size, size]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["images", "weights"], ["y"])],
        "fixed",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 2, size, size])],
        [onnx.numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "weights")],
    )
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


def write_sum(path: Path) -> Path:
    """A graph of two inputs that takes no pictures."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["ids"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["x", "numbers"], ["y"]),
        ],
        "sum",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 7]),
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", 7]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 7])],
    )
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path
