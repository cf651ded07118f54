"""Scales with which int8 arithmetic has no rounding of its own, so that every processor computes the same numbers.

Two things make an int8 file answer differently elsewhere. x86-64 without VNNI adds two products of weight and
activation in 16 bits, which saturate: with weights from -64 to 64 they cannot (2 * 255 * 64 = 32,640). And where the
step of an output is no round multiple of the steps before it, the last bit of a float decides which way a value near a
half is rounded: one in 100,000 falls otherwise in another kernel, and fifty layers make of it a difference in every
number (MobileNetV2: up to 0.06 in a probability).

So an activation's step is a power of two, or one and a half of it, and a weight's step has three bits. Then a product
of both, a sum of a layer's products and its ratio to the output's step have no more bits than a float: int8 kernels of
every width, and the same graph computed in floats, agree to the last bit, even where a value is a half exactly.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge_export.precision.int8_layers import WEIGHTED_OPS

WEIGHT_BITS = 7
# onnxruntime's `reduce_range` is the same.
LARGEST_WEIGHT = 64
_STEPS = 255
# So many steps may be cut off at either end: 1 / 255 would else take the step above 1 / 256, and lose half of it.
_CUT_STEPS = 2.5
# A bias below this, in steps of its products, and what is added to it stay exact in a float.
_LARGEST_BIAS = 1 << 19
# Of what is zero on every calibration image.
_LEAST_STEP = 2.0**-30
# They give on the numbers they take, and onnxruntime the steps of their input to their output.
_MOVING_OPS = frozenset(
    {"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "MaxPool", "AveragePool", "Slice", "Split", "Pad"}
)
_CUTTING_OPS = frozenset({"Relu", "Clip"})


@dataclass(frozen=True, slots=True)
class Steps:
    """How an activation is quantised: `size` a step, and the number that stands for zero."""

    size: float
    zero: int

    @property
    def thrice(self) -> bool:
        """Whether the step is three times a power of two."""
        return math.frexp(self.size)[0] != 0.5

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest value."""
        return -self.zero * self.size, (_STEPS - self.zero) * self.size


class ExactScales:
    """The steps of the activations of `graph` and of its weights, where the nodes named in `chosen` become int8.

    `ranges` maps an activation to the lowest and highest value that calibration found.
    """

    def __init__(
        self, graph: onnx.GraphProto, ranges: Mapping[str, tuple[float, float]], chosen: Collection[str]
    ) -> None:
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes = [node for node in graph.node if node.name in set(chosen)]
        self.makers = {output: node for node in self.nodes for output in node.output}
        self.ranges = ranges
        self.steps: dict[str, Steps] = {}
        for name in ranges:
            self.steps[name] = self._choose(name)

    def activations(self) -> Iterator[tuple[str, NDArray[np.float32], NDArray[np.float32]]]:
        """Each activation's name and the lowest and highest value of its steps, float32."""
        for name, steps in self.steps.items():
            low, high = steps.range
            yield name, np.array(low, np.float32), np.array(high, np.float32)

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
            least = largest.astype(np.float64) / LARGEST_WEIGHT
            taken = self._source(node.input[0])
            step = self.steps[taken].size if taken in self.steps else 1.0
            bias = self.constants.get(node.input[2]) if len(node.input) > 2 else None
            if bias is not None:
                least = np.maximum(least, np.abs(numpy_helper.to_array(bias).reshape(-1)) / (step * _LARGEST_BIAS))
            given = self.steps.get(self._result(node))
            # The ratio of both to the output's step is whole then.
            thrice = given is not None and given.thrice and not (taken in self.steps and self.steps[taken].thrice)
            yield node.input[1], axis, _three_bits(least, unit=3.0 if thrice else 1.0)

    def _choose(self, name: str) -> Steps:
        """The smallest steps that hold the range; an upper bound of a Clip, which the range replaces, is kept."""
        low, high = self.ranges[name]
        low, high = min(low, 0.0), max(high, 0.0)
        maker, bound = self._maker(name), self._bound(name)
        if maker is not None and maker.op_type == "GlobalAveragePool" and self._source(maker.input[0]) in self.ranges:
            return self._pooled(self._choose(self._source(maker.input[0])), low, high)
        weighted = maker is not None and maker.op_type in WEIGHTED_OPS
        sizes = _sizes((high - low) / (_STEPS + 2 * _CUT_STEPS), thirds=weighted)
        found = next(steps for size in sizes if (steps := _fit(size, low, high)) is not None)
        return found if found.range[1] <= bound else Steps(bound / _STEPS, 0)

    def _pooled(self, before: Steps, low: float, high: float) -> Steps:
        """A mean's steps: those of what it is taken of, halved as often as it holds; so it never is a half."""
        size, found = before.size, before
        while (finer := _fit(size, low, high)) is not None and size > before.size / 256:
            size, found = size / 2, finer
        return found

    def _maker(self, name: str) -> onnx.NodeProto | None:
        """The node that computes an activation, before a ReLU or clip that becomes part of its steps."""
        node = self.makers.get(name)
        while node is not None and node.op_type in _CUTTING_OPS and node.input[0] in self.makers:
            node = self.makers[node.input[0]]
        return node

    def _bound(self, name: str) -> float:
        """What a Clip that becomes part of its output's steps lets through at most."""
        node = self.makers.get(name)
        if node is None or node.op_type != "Clip" or len(node.input) < 3 or node.input[2] not in self.constants:
            return math.inf
        return float(numpy_helper.to_array(self.constants[node.input[2]]))

    def _source(self, name: str) -> str:
        """The activation whose steps one has that was only moved about."""
        while (node := self.makers.get(name)) is not None and node.op_type in _MOVING_OPS:
            name = node.input[0]
        return name

    def _result(self, node: onnx.NodeProto) -> str:
        """What a layer gives, behind its ReLU or clip."""
        readers = [each for each in self.nodes if node.output[0] in each.input]
        cut = len(readers) == 1 and readers[0].op_type in _CUTTING_OPS
        return str((readers[0] if cut else node).output[0])


def _sizes(least: float, *, thirds: bool) -> Iterator[float]:
    """Powers of two from `least` on, and with `thirds` one and a half of each, in their order."""
    exponent = math.floor(math.log2(max(least, _LEAST_STEP)))
    while True:
        for size in (2.0**exponent, 1.5 * 2.0**exponent):
            if size >= least and (thirds or size == 2.0**exponent):
                yield size
        exponent += 1


def _fit(size: float, low: float, high: float) -> Steps | None:
    """Steps of this size, if they hold the range.

    Zero is an even number: some kernels add it before they round a half to the even one, and some after.
    """
    zero = min(2 * round(-low / size / 2), _STEPS - 1)
    if -low / size - zero > _CUT_STEPS or high / size - (_STEPS - zero) > _CUT_STEPS:
        return None
    return Steps(size, zero)


def _three_bits(least: NDArray[np.float64], *, unit: float) -> NDArray[np.float64]:
    """The smallest numbers `unit * m * 2^e`, m from 4 to 7, that are not below `least`."""
    mantissa, exponent = np.frexp(np.maximum(least, _LEAST_STEP) / unit)
    found: NDArray[np.float64] = unit * np.ldexp(np.ceil(mantissa * 8 - 1e-9) / 8, exponent)
    return found


def _channel_axis(node: onnx.NodeProto) -> int:
    """The axis of a weight that has a scale for each of its channels, as onnxruntime's quantizer has it."""
    turned = any(each.name == "transB" and helper.get_attribute_value(each) for each in node.attribute)
    return 0 if node.op_type == "Conv" or turned else 1
