"""Scales of int8 with which no number is near a half before it is rounded, so that every processor rounds alike.

Two things make an int8 file answer differently elsewhere. x86-64 without VNNI adds two products of weight and
activation in 16 bits, which saturate: with weights from -64 to 64 they cannot (2 * 255 * 64 = 32,640). And between two
layers sums become 8 bits again: `sum * r`, rounded, with r the ratio of the steps of sum and output. Where that is a
half, or so near to one that the last bit of a float decides, kernels and processors differ; it happens to one number in
100,000, and fifty layers make of it a difference in every number (MobileNetV2: up to 0.06 in a probability).

So every r is made a fraction M / q, q odd and small. A multiple of 1 / q is never a half, and 1 / 2q away from one at
least, far beyond what floats lose. Of a convolution r is made so by the steps of each channel's weights, of a sum by
the steps of all that are added to each other, of a product and a mean by those of the output. No step grows by more
than some hundredths. Steps that are powers of two would be exact in every float, but full of halves: x86-64 rounds
these to the even number, kernels of Arm do not.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge_export.precision.answering_nodes import WEIGHTED_OPS
from edge_export.precision.int8_gates import fit_gate

WEIGHT_BITS = 7
# onnxruntime's `reduce_range` is the same.
LARGEST_WEIGHT = 64
_STEPS = 255
# Of what is zero on every calibration image.
_LEAST_STEP = 2.0**-30
# Of a convolution's r. Larger ones come too near to a half for a sum of floats, smaller ones make weights coarse.
_LARGEST_Q = 4095
_NUMERATORS = range(1, 9)
# Steps of what is added to each other are odd multiples of one unit, at least so many.
_UNITS = 65
_MEAN_Q = 1021
# The mean of so many numbers is made a multiple of 1 / q; of more of them it would take too coarse steps.
_LARGEST_AREA = 64
# How many times as wide the steps of what a hard sigmoid is taken of may become.
_COARSER = 1.5
# A bias is counted in steps of its products; so large a one still leaves a float's last bits to these.
_LARGEST_BIAS = 1 << 20
# They pass on the numbers they take, and onnxruntime the steps of their input to their output.
_MOVING_OPS = frozenset({"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "MaxPool", "Slice", "Split", "Pad"})
_CUTTING_OPS = frozenset({"Relu", "Clip"})
_JOINING_OPS = frozenset({"Add", "Concat"})
_MEAN_OPS = frozenset({"GlobalAveragePool", "AveragePool"})


@dataclass(frozen=True, slots=True)
class Steps:
    """How an activation is quantised: the size of a step, a float32's value, and the number that stands for zero."""

    size: float
    zero: int


class RoundingScales:
    """The steps of the activations of `graph` and of its weights, where the nodes named in `chosen` become int8.

    `ranges` maps an activation to the lowest and highest value that calibration found. The shapes of `graph.value_info`
    tell over how many numbers a mean is taken.
    """

    def __init__(
        self, graph: onnx.GraphProto, ranges: Mapping[str, tuple[float, float]], chosen: Collection[str]
    ) -> None:
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        # A mean over windows is left to its neighbours' steps by the quantizer, and becomes int8 all the same.
        self.means = [node for node in graph.node if node.op_type == "AveragePool"]
        self.nodes = [node for node in graph.node if node.name in set(chosen)]
        self.makers = {output: node for node in [*self.nodes, *self.means] for output in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.shapes = {
            value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in graph.value_info
        }
        self.ranges = {**ranges, **self._summed_constants()}
        self.sizes = {name: _size(*ends) for name, ends in self.ranges.items()}
        joined = self._join()
        for node in graph.node:
            if node.op_type == "HardSigmoid" and node.input[0] not in joined:
                self._open_gate(node)
        for node in graph.node:
            result = self._result(node)
            if node.output[0] in self.makers and result not in joined and result in self.sizes:
                self._derive(node, result)

    def steps(self) -> Iterator[tuple[str, Steps]]:
        """Each activation, and each constant that is added or multiplied, with its steps."""
        for name, size in self.sizes.items():
            low = min(self.ranges[name][0], 0.0)
            yield name, Steps(size, min(max(round(-low / size), 0), _STEPS))

    def weights(self) -> Iterator[tuple[str, int, NDArray[np.float64]]]:
        """Each weight's name, its axis of channels, and a step for each of these; a step times 64 holds the largest."""
        for node in self.nodes:
            if node.op_type not in WEIGHTED_OPS or len(node.input) < 2 or node.input[1] not in self.constants:
                continue
            weight = numpy_helper.to_array(self.constants[node.input[1]])
            if weight.ndim < 2:
                continue
            axis = _channel_axis(node)
            largest = np.abs(np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)).max(axis=1)
            least = np.maximum(largest.astype(np.float64) / LARGEST_WEIGHT, _LEAST_STEP)
            taken, given = self.sizes.get(self._source(node.input[0])), self.sizes.get(self._result(node))
            bias = self.constants.get(node.input[2]) if len(node.input) > 2 else None
            if bias is not None and taken is not None:
                sums = np.abs(numpy_helper.to_array(bias).reshape(-1).astype(np.float64))
                least = np.maximum(least, sums / (taken * _LARGEST_BIAS))
            if taken is not None and given is not None:
                least = np.array([_fraction(ratio) for ratio in least * taken / given]) * given / taken
            yield node.input[1], axis, least

    def _summed_constants(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value of each constant that is added to activations or multiplied with them."""
        names = {name for node in self.nodes if node.op_type in ("Add", "Mul") for name in node.input}
        arrays = {name: numpy_helper.to_array(self.constants[name]) for name in names & self.constants.keys()}
        return {name: (float(array.min()), float(array.max())) for name, array in sorted(arrays.items())}

    def _join(self) -> set[str]:
        """Give what is added to each other odd multiples of one unit as steps; gives their names."""
        groups: dict[str, set[str]] = {}
        for node in self.nodes:
            if node.op_type in _JOINING_OPS:
                names = {self._source(name) for name in node.input} | {self._result(node)}
                group = set().union(*(groups.get(name, {name}) for name in names))
                groups.update((name, group) for name in group)
        for group in {id(each): each for each in groups.values()}.values():
            known = [name for name in group if name in self.sizes]
            unit = min((self.sizes[name] for name in known), default=1.0) / _UNITS
            for name in known:
                multiple = self.sizes[name] / unit
                # The range of a Clip that becomes part of its output's steps is not to grow.
                odd = _odd_below(multiple) if self._is_bounded(name) else _odd_above(multiple)
                self.sizes[name] = _float32(odd * unit)
        return set(groups)

    def _open_gate(self, node: onnx.NodeProto) -> None:
        """Steps of a hard sigmoid and of what it is taken of, with which it is a clip of integers."""
        taken, given = node.input[0], node.output[0]
        maker, readers = self.makers.get(taken), self.readers.get(given, [])
        of_a_layer = maker is not None and maker.op_type in WEIGHTED_OPS and {taken, given} <= self.sizes.keys()
        if not of_a_layer or any(each.op_type != "Mul" or each.output[0] not in self.makers for each in readers):
            return
        gate = fit_gate(node, *self.ranges[taken], _STEPS)
        # Where nothing comes near the bends, steps so wide would leave nothing of what differs.
        if gate is not None and gate.size <= _COARSER * self.sizes[taken]:
            self.sizes |= {taken: gate.size, given: gate.own_size}
            self.ranges[taken] = (-gate.zero * gate.size, self.ranges[taken][1])
            self.ranges[given] = (-gate.own_zero * gate.own_size, 1.0)

    def _derive(self, node: onnx.NodeProto, result: str) -> None:
        """Steps of a product and of a mean: those of what they are computed from, and an odd number."""
        taken = [self.sizes.get(self._source(name)) for name in node.input]
        sizes = [size for size in taken if size is not None]
        if node.op_type == "Mul" and len(sizes) == 2:
            self.sizes[result] = _float32(_odd_above(self.sizes[result] / math.prod(sizes)) * math.prod(sizes))
        elif node.op_type in _MEAN_OPS and sizes:
            area = self._area(node)
            area = area if area <= _LARGEST_AREA else 1
            finer = max(math.floor(_MEAN_Q * sizes[0] / self.sizes[result] / area), 1) * area
            self.sizes[result] = _float32(sizes[0] * _MEAN_Q / finer)

    def _area(self, node: onnx.NodeProto) -> int:
        """Over how many numbers a mean is taken; 1 where nobody knows."""
        kernel = [helper.get_attribute_value(each) for each in node.attribute if each.name == "kernel_shape"]
        sides = kernel[0] if kernel else self.shapes.get(node.input[0], [])[2:]
        return max(math.prod(int(side) for side in sides), 1)

    def _is_bounded(self, name: str) -> bool:
        return name in self.makers and self.makers[name].op_type == "Clip"

    def _source(self, name: str) -> str:
        """The activation whose steps one has that was only moved about."""
        while (node := self.makers.get(name)) is not None and node.op_type in _MOVING_OPS:
            name = node.input[0]
        return name

    def _result(self, node: onnx.NodeProto) -> str:
        """What a node gives, behind the ReLU or clip that becomes part of its steps."""
        readers = self.readers.get(node.output[0], [])
        cut = len(readers) == 1 and readers[0].op_type in _CUTTING_OPS and readers[0].output[0] in self.makers
        return str((readers[0] if cut else node).output[0])


def _size(low: float, high: float) -> float:
    """The size of steps that hold a range and zero."""
    return _float32(max((max(high, 0.0) - min(low, 0.0)) / _STEPS, _LEAST_STEP))


def _fraction(least: float) -> float:
    """The smallest M / q that is not below `least`, up to 8 / 1, with q odd and 4,095 at most."""
    found = math.inf
    for numerator in _NUMERATORS:
        q = min(_odd_below(numerator / least), _LARGEST_Q)
        if numerator / q >= least:
            found = min(found, numerator / q)
        if q == _LARGEST_Q or found <= least * 1.01:
            break
    return found if math.isfinite(found) else float(math.ceil(least))


def _odd_above(number: float) -> int:
    """The smallest odd number that is not below `number`."""
    return 2 * math.ceil((number - 1e-6 - 1) / 2) + 1


def _odd_below(number: float) -> int:
    """The largest odd number that is not above `number`, 1 at least."""
    return max(2 * math.floor((number + 1e-6 - 1) / 2) + 1, 1)


def _float32(number: float) -> float:
    return float(np.float32(number))


def _channel_axis(node: onnx.NodeProto) -> int:
    """The axis of a weight that has a scale for each of its channels, as onnxruntime's quantizer has it."""
    turned = any(each.name == "transB" and helper.get_attribute_value(each) for each in node.attribute)
    return 0 if node.op_type == "Conv" or turned else 1
