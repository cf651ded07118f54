"""The output `distance`: how far a picture lies from what training's pictures look like to the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_runtime import DISTANCE_NAME, EMBEDDING_NAME

_SMALLEST_LENGTH = 1e-12


def add_distance(path: Path, centres: NDArray[np.float32], *, keep_embedding: bool) -> None:
    """Give the file at `path`, which has the output `embedding`, the output `distance`, float32 `[batch]` in 0..2.

    It is 1 - cosine to the nearest of `centres`, unit vectors `[M, D]`, which are stored as halves. Without
    `keep_embedding` the embedding is no output any more.
    """
    model = onnx.load(path)
    graph = model.graph
    halves = np.ascontiguousarray(centres.T).astype(np.float16)
    names = {"centres": "unlike_centres", "axis": "unlike_axis", "one": "unlike_one", "least": "unlike_least"}
    graph.initializer.extend(
        [
            numpy_helper.from_array(halves, names["centres"]),
            numpy_helper.from_array(np.array([1], np.int64), names["axis"]),
            numpy_helper.from_array(np.array(1, np.float32), names["one"]),
            numpy_helper.from_array(np.array(_SMALLEST_LENGTH, np.float32), names["least"]),
        ]
    )
    make = helper.make_node
    graph.node.extend(
        [
            make("ReduceL2", [EMBEDDING_NAME, names["axis"]], ["unlike_length"], keepdims=1),
            make("Max", ["unlike_length", names["least"]], ["unlike_divisor"]),
            make("Div", [EMBEDDING_NAME, "unlike_divisor"], ["unlike_unit"]),
            make("Cast", [names["centres"]], ["unlike_centres_float"], to=TensorProto.FLOAT),
            make("MatMul", ["unlike_unit", "unlike_centres_float"], ["unlike_cosines"]),
            make("ReduceMax", ["unlike_cosines", names["axis"]], ["unlike_nearest"], keepdims=0),
            make("Sub", [names["one"], "unlike_nearest"], [DISTANCE_NAME]),
        ]
    )
    embedding = next(each for each in graph.output if each.name == EMBEDDING_NAME)
    batch = embedding.type.tensor_type.shape.dim[0].dim_param or "batch"
    graph.output.append(helper.make_tensor_value_info(DISTANCE_NAME, TensorProto.FLOAT, [batch]))
    if not keep_embedding:
        graph.output.remove(embedding)
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(path))
