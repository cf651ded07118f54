"""A graph as a torch network that can be trained: the float one, or its int8 form with fake quantizers.

The int8 form is read from the quantised file itself: wherever it has a QuantizeLinear and a DequantizeLinear, and on
its own steps, numbers are rounded here as they are there (`fake_quantize`), and gradients go straight through, but for
what is cut off (Jacob et al. 2018, section 3). So nothing has to be told twice of where int8 rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from edge_export.precision.int8_graph import FRONT
from edge_export.precision.int8_scales import LARGEST_WEIGHT
from edge_export.precision.torch_operators import OPERATORS, clip_counted
from edge_runtime import INPUT_NAME

# How onnxruntime's quantizer names what it makes of a constant.
_QUANTIZED = "_quantized"
# A channel whose steps are so much wider than its weights ask for has them for another's sake, and keeps them.
_WIDER = 1.05


class _Step(NamedTuple):
    """One node: what it is called by, reads, and gives."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Weight:
    """How the weight of a layer is rounded: along `axis`, a step for each channel; what they were at first."""

    axis: int
    steps: Tensor
    largest: Tensor

    def rounded(self, weight: Tensor) -> Tensor:
        """The weight as int8 has it. Its steps grow and shrink with the largest number of their channel."""
        rest = [at for at in range(weight.ndim) if at != self.axis]
        largest = weight.detach().abs().amax(rest)
        least = largest / LARGEST_WEIGHT
        ratio = self.steps * LARGEST_WEIGHT / self.largest.clamp_min(1e-30)
        steps = torch.where(ratio > _WIDER, torch.maximum(self.steps, least), least * ratio)
        zeros = torch.zeros_like(steps, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, steps, zeros, self.axis, -LARGEST_WEIGHT, LARGEST_WEIGHT)


class TorchGraph(nn.Module):
    """uint8 RGB images `[N, H, W, 3]` to logits `[N, classes]`, divided by the temperature, as the graph has them.

    `prepared` is a float graph that `prepare_graph` made, and `quantized` its int8 form; without that, nothing is
    rounded, and nothing can be trained. What is trained are the weights and biases of the layers in int8, each in units
    of its own steps, so that one learning rate fits layers whose weights differ a thousandfold. A stem that was
    rearranged stays as it is, for its weights stand in it twice.

    Raises:
        NotImplementedError: an operator that torch's side does not know, or no softmax at the end.
    """

    def __init__(self, prepared: onnx.ModelProto, quantized: onnx.ModelProto | None = None) -> None:
        super().__init__()
        graph = (quantized or prepared).graph
        self._prepared = prepared
        self._floats = {tensor.name: tensor for tensor in prepared.graph.initializer}
        self._constants = {tensor.name: _tensor(tensor) for tensor in graph.initializer}
        self._weights: dict[str, _Weight] = {}
        self._bias_steps: dict[str, Tensor] = {}
        self._units: dict[str, Tensor] = {}
        self._trained = nn.ParameterDict()
        self._places: dict[str, str] = {}
        makers = {output: node for node in graph.node for output in node.output}
        softmax = [makers[output.name] for output in graph.output if output.name in makers]
        if not softmax or softmax[0].op_type != "Softmax":
            raise NotImplementedError("an end without a softmax")
        self._logits = softmax[0].input[0]
        self._steps = self._needed(graph, makers)

    def _needed(self, graph: onnx.GraphProto, makers: dict[str, onnx.NodeProto]) -> list[_Step]:
        """The nodes that the logits need, in order; constants that a DequantizeLinear reads are looked at."""
        needed, waiting = set(), [self._logits]
        while waiting:
            name = waiting.pop()
            node = makers.get(name)
            if node is not None and id(node) not in needed:
                needed.add(id(node))
                waiting.extend(node.input)
        steps, counted = [], self._counted(graph)
        for node in graph.node:
            if id(node) not in needed:
                continue
            attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
            if node.op_type == "DequantizeLinear" and node.input[0] in self._constants:
                self._read_constant(node, attributes)
                continue
            if node.op_type == "Clip" and node.input[0] in counted:
                own = {"steps": counted[node.input[0]], "own_steps": counted[node.output[0]]}
                steps.append(_Step("Clip of integers", tuple(node.input), tuple(node.output), own))
                continue
            if node.op_type not in OPERATORS and node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
                raise NotImplementedError(node.op_type)
            steps.append(_Step(node.op_type, tuple(node.input), tuple(node.output), attributes))
        return steps

    def _counted(self, graph: onnx.GraphProto) -> dict[str, tuple[float, float]]:
        """The size of a step, and the integer for zero, of each tensor of integers between layers, by its name."""
        found = {}
        for node in graph.node:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                name = node.output[0] if node.op_type == "QuantizeLinear" else node.input[0]
                size, zero = (self._constants[each] for each in node.input[1:3])
                if size.numel() == 1:
                    found[name] = (float(size), float(zero))
        return found

    def _read_constant(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        """A weight or bias becomes a parameter; any other constant is what int8 has for it."""
        whole, scale = self._constants[node.input[0]], self._constants[node.input[1]]
        name, given = node.input[0].removesuffix(_QUANTIZED), node.output[0]
        axis = attributes.get("axis", 1) % max(whole.ndim, 1)
        shape = [-1 if at == axis else 1 for at in range(whole.ndim)] if scale.numel() > 1 else [1] * whole.ndim
        by_number = scale.reshape(shape)
        trained = whole.dtype in (torch.int8, torch.int32) and name in self._floats and FRONT not in name
        weight = None
        if whole.dtype == torch.int8 and scale.numel() == whole.shape[axis] and name in self._floats:
            value = _tensor(self._floats[name])
            largest = value.abs().amax([at for at in range(value.ndim) if at != axis])
            weight = _Weight(axis, scale.reshape(-1).clone(), largest)
        if not trained or (whole.dtype == torch.int8 and weight is None):
            zero = self._constants[node.input[2]].float().reshape(shape) if len(node.input) > 2 else 0.0
            self._constants[given] = (whole.float() - zero) * by_number
            return
        if weight is not None:
            self._weights[given] = weight
        else:
            self._bias_steps[given] = by_number
        # A bias is counted in steps of products, of which a layer adds up many.
        unit = by_number if weight is not None else by_number * LARGEST_WEIGHT
        self._units[name] = unit
        self._places[given] = name
        if _key(name) not in self._trained:
            self._trained[_key(name)] = nn.Parameter(_tensor(self._floats[name]) / unit)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of already resized and cropped images."""
        values: dict[str, Any] = {**self._constants, INPUT_NAME: images}
        for given, name in self._places.items():
            value = self._value(name)
            weight, bias_step = self._weights.get(given), self._bias_steps.get(given)
            if weight is not None:
                value = weight.rounded(value)
            elif bias_step is not None:
                value = value + ((value / bias_step).round() * bias_step - value).detach()
            values[given] = value
        for step in self._steps:
            inputs = [values[name] if name else None for name in step.inputs]
            match step.op:
                case "QuantizeLinear":
                    low, high = (0, 255) if inputs[2].dtype == torch.uint8 else (-128, 127)
                    given = torch.fake_quantize_per_tensor_affine(
                        inputs[0], float(inputs[1]), int(inputs[2]), low, high
                    )
                case "DequantizeLinear":
                    given = inputs[0]
                case "Clip of integers":
                    given = clip_counted(inputs, step.attributes)
                case _:
                    given = OPERATORS[step.op](inputs, step.attributes)
            if isinstance(given, Tensor):
                values[step.outputs[0]] = given
            else:
                values.update(zip(step.outputs, given, strict=True))
        logits: Tensor = values[self._logits]
        return logits

    def _value(self, name: str) -> Tensor:
        value: Tensor = self._trained[_key(name)] * self._units[name]
        return value

    @property
    def is_finite(self) -> bool:
        """Whether all that is trained is still a number."""
        return all(bool(torch.isfinite(parameter).all()) for parameter in self._trained.values())

    def tuned(self) -> onnx.ModelProto:
        """The float graph with the weights as they are now; all else of it is as it was."""
        model = onnx.ModelProto()
        model.CopyFrom(self._prepared)
        with torch.no_grad():
            for tensor in model.graph.initializer:
                if tensor.name in self._units:
                    value = self._value(tensor.name).numpy()
                    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), tensor.name))
        return model


def _tensor(constant: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(numpy_helper.to_array(constant).copy())


def _key(name: str) -> str:
    # A dot is a path in torch.
    return name.replace(".", "/")
