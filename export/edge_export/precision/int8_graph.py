"""The float graph, rearranged so that its int8 form is fast; what it computes stays the same.

Three things keep an int8 classifier slow on a CPU, and none of them is a convolution's arithmetic:

- scaling and normalising `[N, H, W, 3]` repeats three numbers along the innermost axis, which onnxruntime does
  one by one. Over `[N, H, W * 3]`, with the three repeated W times, it is done in whole rows;
- onnxruntime's direct int8 convolution takes channels in fours, and an image has three. A stem of stride 2 reads the
  same numbers as `[H, W / 4, 12]`, four pixels at a time, and writes two neighbours as twice the channels: in memory
  `[H, W, 3]` and `[H / 2, W / 2, C]` lie in just that order, so nothing is moved, and the weights say the rest;
- a mean over height and width has an int8 kernel only under the name of GlobalAveragePool.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge_export.precision.answering_nodes import answering_nodes
from edge_runtime import INPUT_NAME, ModelError, open_session

# What the nodes between the image and the first convolution are called: they are never quantised.
FRONT = "edge_front"

_PLACELESS_OPS = frozenset({"Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Mul", "Add"})

# What comes between logits and probabilities.
_LOGIT_OPS = frozenset({"Div", "Mul", "Softmax"})


def prepare_graph(source: Path, target: Path) -> None:
    """Write the float file at `source` to `target`: same input, same output, ready to be quantised.

    Every node has a name of its own, shapes are inferred and batch norms folded where they can be. Raises ModelError
    where onnxruntime cannot load what becomes of it.
    """
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model = onnx.load_model(str(source))
    _pool_by_name(model)
    _rearrange_fronts(model.graph)
    _drop_dead(model.graph)
    with TemporaryDirectory(prefix="edge-int8-") as folder:
        rearranged = Path(folder) / "rearranged.onnx"
        onnx.save_model(model, str(rearranged))
        # Symbolic shapes need sympy and tell no more than onnx's own inference does for image classifiers.
        quant_pre_process(str(rearranged), str(target), skip_symbolic_shape=True)
    model = onnx.load_model(str(target))
    _name_nodes(model.graph)
    onnx.save_model(model, str(target))
    try:
        open_session(target, threads=1)
    except ModelError as error:
        reason = error.message.replace(str(target), "its rearranged graph")
        raise ModelError(f"{source} cannot be made int8: {reason}", "export it with `precision` fp32") from error


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in graph.initializer}


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _pool_by_name(model: onnx.ModelProto) -> None:
    constants = _constants(model.graph)
    maps = {
        value.name
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
        if len(value.type.tensor_type.shape.dim) == 4
    }
    for node in model.graph.node:
        if node.op_type != "ReduceMean" or len(node.input) < 2 or node.input[1] not in constants:
            continue
        axes = sorted(int(axis) % 4 for axis in numpy_helper.to_array(constants[node.input[1]]).reshape(-1))
        if axes == [2, 3] and node.input[0] in maps and _attributes(node).get("keepdims", 1) == 1:
            node.op_type = "GlobalAveragePool"
            del node.input[1:]
            del node.attribute[:]


@dataclass(frozen=True, slots=True)
class _Front:
    """Scaling and normalisation as the exporter wrote it: `(pixels - mean) / std` before one convolution."""

    conv: onnx.NodeProto
    mean: NDArray[np.float32]
    std: NDArray[np.float32]


def _rearrange_fronts(graph: onnx.GraphProto) -> None:
    """Replace Transpose, Cast, Sub and Div between the image and each first convolution by their fast form."""
    height, width = (dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim[1:3])
    if not (height and width):
        return
    for index, front in enumerate(_find_fronts(graph)):
        _Rows(graph, f"{FRONT}_{index}", height, width).replace(front)


def _find_fronts(graph: onnx.GraphProto) -> list[_Front]:
    constants = _constants(graph)
    makers = {output: node for node in graph.node for output in node.output}
    found = []
    for conv in graph.node:
        if conv.op_type != "Conv" or conv.input[1] not in constants:
            continue
        chain: dict[str, onnx.NodeProto] = {}
        at = conv.input[0]
        while (node := makers.get(at)) is not None and node.op_type in {"Transpose", "Cast", "Sub", "Div"}:
            chain[node.op_type] = node
            at = node.input[0]
        if at != INPUT_NAME or len(chain) != 4:
            continue
        sides = [constants.get(chain[op].input[1]) for op in ("Sub", "Div")]
        if None in sides or list(_attributes(chain["Transpose"]).get("perm", [])) != [0, 3, 1, 2]:
            continue
        mean, std = (numpy_helper.to_array(side).reshape(-1).astype(np.float32) for side in sides if side is not None)
        if mean.size == std.size == 3:
            found.append(_Front(conv, mean, std))
    return found


class _Rows:
    """The front over whole rows of one image size, in front of one convolution."""

    def __init__(self, graph: onnx.GraphProto, name: str, height: int, width: int) -> None:
        self.graph, self.name, self.height, self.width = graph, name, height, width
        self.nodes: list[onnx.NodeProto] = []

    def replace(self, front: _Front) -> None:
        """Let `front.conv` read its input from a new front."""
        wide = _by_fours(front.conv, _constants(self.graph), self.height, self.width)
        group = 1 if wide is None else 4
        pixels = self._add("Reshape", INPUT_NAME, np.array([0, self.height, self.width * 3]))
        pixels = self._add("Cast", pixels, to=onnx.TensorProto.FLOAT)
        pixels = self._add("Sub", pixels, np.tile(front.mean, self.width))
        pixels = self._add("Div", pixels, np.tile(front.std, self.width))
        pixels = self._add("Reshape", pixels, np.array([0, self.height, self.width // group, 3 * group]))
        front.conv.input[0] = self._add("Transpose", pixels, perm=[0, 3, 1, 2])
        self._insert(0)
        if wide is not None:
            self._widen(front.conv, wide)

    def _widen(self, conv: onnx.NodeProto, wide: _Wide) -> None:
        # The names are kept in front, so that a table of layers can still say which layer this is.
        parts = (wide.weight, wide.bias) if len(conv.input) > 2 else (wide.weight,)
        for at, part in enumerate(parts, 1):
            conv.input[at] = self._constant(part, f"{conv.input[at]}.{self.name}")
        del conv.attribute[:]
        settings = {"kernel_shape": list(wide.weight.shape[2:]), "pads": wide.pads, "strides": [2, 1]}
        conv.attribute.extend(helper.make_attribute(key, value) for key, value in settings.items())
        # What works number by number works on the pairs as well; the first to care about places reads them apart.
        paired = {conv.output[0]}
        last = 0
        for at, node in enumerate(self.graph.node):
            if node is conv or (node.op_type in _PLACELESS_OPS and self._pair(node, paired, len(wide.weight) // 2)):
                paired.update(node.output)
                last = at
        readers = [node for node in self.graph.node if not paired.intersection(node.output)]
        for value in sorted(paired.intersection(name for node in readers for name in node.input)):
            apart = self._add("Transpose", value, perm=[0, 2, 3, 1])
            apart = self._add("Reshape", apart, np.array([0, wide.rows, self.width // 2, len(wide.weight) // 2]))
            apart = self._add("Transpose", apart, perm=[0, 3, 1, 2])
            for node in readers:
                for at, name in enumerate(node.input):
                    if name == value:
                        node.input[at] = apart
        self._insert(last + 1)

    def _pair(self, node: onnx.NodeProto, paired: set[str], channels: int) -> bool:
        """Let a node that reads `paired` values alone read its constants of each channel twice; False where none may.

        A constant that differs by place is none of the pairs'.
        """
        constants = _constants(self.graph)
        inputs = [name for name in node.input if name and name not in constants]
        if not inputs or not paired.issuperset(inputs):
            return False
        shapes = {name: tuple(constants[name].dims) for name in node.input if name in constants}
        several = {name: shape for name, shape in shapes.items() if math.prod(shape) > 1}
        if any(shape[-3:] != (channels, 1, 1) or math.prod(shape) != channels for shape in several.values()):
            return False
        for at, name in enumerate(node.input):
            if name in several:
                value = numpy_helper.to_array(constants[name])
                node.input[at] = self._constant(
                    np.concatenate([value, value], axis=-3), f"{node.output[0]}.{self.name}_{at}"
                )
        return True

    def _add(self, op: str, value: str, constant: NDArray[np.generic] | None = None, **attributes: Any) -> str:
        output = f"{self.name}_{value}_{op}".replace(f"{self.name}_{self.name}", self.name)
        inputs = [value] if constant is None else [value, self._constant(constant, f"{output}_constant")]
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def _insert(self, index: int) -> None:
        for at, node in enumerate(self.nodes, index):
            self.graph.node.insert(at, node)
        self.nodes = []

    def _constant(self, value: NDArray[np.generic], name: str) -> str:
        self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name


@dataclass(frozen=True, slots=True)
class _Wide:
    """A stem over four pixels at a time: weights `[2 * out, 12, kh, fours]`, bias, pads, and how many rows come out."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    pads: list[int]
    rows: int


def _by_fours(conv: onnx.NodeProto, constants: dict[str, onnx.TensorProto], height: int, width: int) -> _Wide | None:
    """The stem of stride 2 as `_Wide`, or None where it cannot be one.

    Column `2 i + s` of the output, s 0 or 1, reads pixel `4 i + 2 s + k - pad` for each tap k: with
    `2 s + k - pad = 4 j + r` that is place r among the four pixels `i + j`. What lies outside the image is zero in
    both forms.
    """
    settings = _attributes(conv)
    weight = numpy_helper.to_array(constants[conv.input[1]])
    pads = list(settings.get("pads", [0, 0, 0, 0]))
    strided = list(settings.get("strides", [])) == [2, 2] and set(settings.get("dilations", [1, 1])) == {1}
    plain = settings.get("group", 1) == 1 and settings.get("auto_pad", b"NOTSET") == b"NOTSET"
    biased = len(conv.input) > 2 and bool(conv.input[2])
    if not (strided and plain and weight.ndim == 4 and (not biased or conv.input[2] in constants)):
        return None
    top, left, bottom, right = pads
    count, _, taps_y, taps_x = weight.shape
    if width % 4 or (width + left + right - taps_x) // 2 + 1 != width // 2 or taps_x <= left:
        return None
    before, after = (left + 3) // 4, (taps_x + 1 - left) // 4
    moved = np.zeros((2 * count, 12, taps_y, before + after + 1), np.float32)
    for side in (0, 1):
        for tap in range(taps_x):
            four, place = divmod(2 * side + tap - left, 4)
            channels = slice(3 * place, 3 * place + 3)
            moved[side * count : (side + 1) * count, channels, :, four + before] = weight[:, :, :, tap]
    bias = numpy_helper.to_array(constants[conv.input[2]]) if biased else np.zeros(count, np.float32)
    rows = (height + top + bottom - taps_y) // 2 + 1
    return _Wide(moved, np.tile(bias, 2), [top, before, bottom, after], rows)


def keep_logits(graph: onnx.GraphProto) -> None:
    """Let the last linear layers of a quantised graph give floats: logits in 256 steps are coarse, and cost no less."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def only(name: str, op: str) -> onnx.NodeProto | None:
        found = readers.get(name, [])
        return found[0] if len(found) == 1 and found[0].op_type == op else None

    answering = answering_nodes(graph)
    for node in [each for each in graph.node if each.op_type == "Gemm"]:
        steps = only(node.output[0], "QuantizeLinear")
        back = None if steps is None else only(steps.output[0], "DequantizeLinear")
        if steps is None or back is None:
            continue
        after = readers.get(back.output[0], [])
        if after and all(each.op_type in _LOGIT_OPS or each.name in answering for each in after):
            for each in after:
                each.input[:] = [node.output[0] if name == back.output[0] else name for name in each.input]
            graph.node.remove(steps)
            graph.node.remove(back)
    read = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)


def _drop_dead(graph: onnx.GraphProto) -> None:
    """Remove nodes and constants that nothing reads any more, and the shapes inferred before."""
    outputs = {output.name for output in graph.output}
    while True:
        read = Counter(name for node in graph.node for name in node.input)
        dead = [node for node in graph.node if not any(name in outputs or read[name] for name in node.output)]
        if not dead:
            break
        for node in dead:
            graph.node.remove(node)
    for tensor in [tensor for tensor in graph.initializer if not read[tensor.name]]:
        graph.initializer.remove(tensor)
    del graph.value_info[:]


def _name_nodes(graph: onnx.GraphProto) -> None:
    """The quantizer addresses nodes by name, and onnxruntime leaves those that it makes itself without one."""
    taken = Counter(node.name for node in graph.node)
    for node in graph.node:
        if not node.name or taken[node.name] > 1:
            taken[node.name] -= 1
            node.name = f"{node.op_type}:{node.output[0]}"
