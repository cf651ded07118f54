"""The tiny model with an output `distance`: the brighter a picture, the further it is from what is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime import DISTANCE_NAME, METADATA_KEY, Classifier, ModelCard, UnlikeScale
from tiny_model import write_tiny_model

__all__ = ["write_unlike_model"]

# Mean brightness in 0..255: of known pictures a hundredth lies between two of these.
SCALE = UnlikeScale.of(np.arange(1, 100, dtype=float), centres=4, training_images=50)


def write_unlike_model(
    path: Path, labels: tuple[str, ...] = ("red", "green", "blue"), *, distance_factor: float = 1
) -> Path:
    """Write it to `path`: a pure red, green or blue picture (brightness 85) is known, white (255) is not.

    A distance is the brightness times `distance_factor`.
    """
    proto = onnx.load(write_tiny_model(path, labels))
    proto.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "channels"))
    proto.graph.initializer.append(numpy_helper.from_array(np.array(distance_factor, np.float32), "factor"))
    proto.graph.node.append(helper.make_node("ReduceMean", ["colour", "channels"], ["brightness"], keepdims=0))
    proto.graph.node.append(helper.make_node("Mul", ["brightness", "factor"], [DISTANCE_NAME]))
    proto.graph.output.append(helper.make_tensor_value_info(DISTANCE_NAME, TensorProto.FLOAT, ["batch"]))
    card = replace(Classifier(path, threads=1).card, unlike=SCALE)
    del proto.metadata_props[:]
    proto.metadata_props.add(key=METADATA_KEY, value=ModelCard.dumps(card))
    onnx.save(proto, path)
    return path
