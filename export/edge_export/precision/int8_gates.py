"""Hard sigmoids in int8, without leaving the integers.

`clip(alpha * x + beta, 0, 1)` is a straight line between two bends. Where the first bend is a whole number of steps of
x below zero, the line's values in steps of `alpha * step` are the very same integers as x, counted from another zero.
What is left of it is a clip of integers, which is exact; onnxruntime has no int8 kernel, and goes to float and back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_ALPHA, _BETA = 0.2, 0.5
# How far from a whole number of steps a bend may lie.
_OFF = 1e-3


@dataclass(frozen=True, slots=True)
class Gate:
    """The steps of a hard sigmoid's input and output: their sizes, and the integers that stand for zero."""

    size: float
    zero: int
    own_size: float
    own_zero: int


def fit_gate(node: onnx.NodeProto, low: float, high: float, most: int) -> Gate | None:
    """The finest steps, `most` of them, that hold an input between `low` and `high` and both bends' places.

    None where no steps do.
    """
    alpha, beta = _line(node)
    if alpha <= 0 or not 0 < beta < 1:
        return None
    shut = beta / alpha
    finest = (max(high, 0.0) + max(-low, shut)) / most
    for bend in range(math.floor(shut / finest), 0, -1):
        size = float(np.float32(shut / bend))
        zero = max(bend, math.ceil(-low / size - _OFF))
        whole = abs(bend / beta - round(bend / beta)) <= _OFF
        if whole and zero + math.ceil(max(high, 0.0) / size - _OFF) <= most:
            return Gate(size, zero, float(np.float32(alpha * size)), zero - bend)
    return None


def _line(node: onnx.NodeProto) -> tuple[float, float]:
    given = {each.name: float(helper.get_attribute_value(each)) for each in node.attribute}
    return given.get("alpha", _ALPHA), given.get("beta", _BETA)


def clip_in_integers(graph: onnx.GraphProto) -> None:
    """Replace each hard sigmoid between dequantizing and quantizing by a clip of integers, where its steps allow it."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    replaced: dict[str, onnx.NodeProto] = {}
    gone: set[str] = set()
    for node in graph.node:
        if node.op_type != "HardSigmoid":
            continue
        taken, given = makers.get(node.input[0]), readers.get(node.output[0], [])
        if (
            taken is None
            or taken.op_type != "DequantizeLinear"
            or [each.op_type for each in given] != ["QuantizeLinear"]
        ):
            continue
        bounds = _bounds(
            node, [numpy_helper.to_array(constants[name]) for name in (*taken.input[1:], *given[0].input[1:])]
        )
        if bounds is None:
            continue
        names = [f"{node.name}_{end}" for end in ("shut", "open")]
        graph.initializer.extend(
            numpy_helper.from_array(np.array(end, np.uint8), name) for end, name in zip(bounds, names, strict=True)
        )
        clip = helper.make_node("Clip", [taken.input[0], *names], [given[0].output[0]], name=node.name)
        replaced[given[0].name], gone = clip, gone | {node.name}
        if len(readers[taken.output[0]]) == 1:
            gone.add(taken.name)
    kept = [replaced.get(node.name, node) for node in graph.node if node.name not in gone]
    del graph.node[:]
    graph.node.extend(kept)


def _bounds(node: onnx.NodeProto, steps: list[NDArray[Any]]) -> tuple[int, int] | None:
    """The integers between which a gate is clipped; None where its input's and output's are not the same ones."""
    alpha, beta = _line(node)
    size, zero, own_size, own_zero = (float(array.reshape(-1)[0]) for array in steps)
    bend = beta / (alpha * size)
    alike = math.isclose(own_size, alpha * size, rel_tol=1e-6) and abs(zero - own_zero - bend) <= _OFF * bend
    return (int(own_zero), min(round(own_zero + bend / beta), 255)) if alike else None
