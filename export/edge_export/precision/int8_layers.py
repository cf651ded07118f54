"""The layers of a prepared graph: what is quantised together, or left in float together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import helper

from edge_export.precision.answering_nodes import WEIGHTED_OPS, answering_nodes
from edge_export.precision.int8_graph import FRONT
from edge_runtime import INPUT_NAME

# Those that onnxruntime has int8 kernels for on a CPU, and those that only move numbers about.
QUANTIZED_OPS = (
    *sorted(WEIGHTED_OPS),
    *("Add", "Mul", "Relu", "LeakyRelu", "Clip", "Sigmoid", "MaxPool", "AveragePool", "GlobalAveragePool"),
    *("Concat", "Split", "Slice", "Pad", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"),
)
_GATES = frozenset({"Sigmoid", "HardSigmoid", "HardSwish"})


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution or linear layer and the nodes after it, up to the next ones: activation, sum, pooling."""

    name: str
    op: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layers:
    """Layers in the order of the graph, and the nodes that `int8-mixed` spares.

    The image's scaling before the first layer and everything from the logits on are in no layer. `delicate` holds
    the last layer, sigmoids, hard sigmoids and hard swishes with what they multiply, and squeeze-excite. `floats` is
    how many nodes with matrices of weights are in no layer, or of a kind that has no int8, as of a recurrent network.
    """

    layers: tuple[Layer, ...]
    delicate: frozenset[str]
    floats: int = 0

    def nodes_of(self, names: Iterable[str]) -> frozenset[str]:
        """The nodes of the layers so named. Raises KeyError where there is no such layer."""
        by_name = {layer.name: layer for layer in self.layers}
        return frozenset(node for name in names for node in by_name[name].nodes)


def read_layers(prepared: Path) -> Layers:
    """The layers of a file that `prepare_graph` wrote."""
    graph = onnx.load_model(str(prepared)).graph
    constants = {tensor.name for tensor in graph.initializer}
    matrices = {tensor.name for tensor in graph.initializer if _is_matrix(tensor)}
    homes: dict[str, int] = {}
    after_logits: set[str] = set()
    pooled: dict[str, bool] = {}
    weighted: list[onnx.NodeProto] = []
    members: list[list[str]] = []
    answering = answering_nodes(graph)
    floats = 0
    for node in graph.node:
        inputs = [name for name in node.input if name and name not in constants]
        upstream = [homes[name] for name in inputs if name in homes]
        finished = node.name in answering or any(name in after_logits for name in inputs)
        home = max(upstream, default=None)
        # A MatMul of two activations is no layer of its own.
        if (
            node.op_type in WEIGHTED_OPS
            and has_int8(node)
            and not finished
            and any(name in constants for name in node.input)
        ):
            home = len(weighted)
            weighted.append(node)
            members.append([])
        if finished:
            after_logits.update(node.output)
        if any(name in matrices for name in node.input):
            floats += not has_int8(node) or (finished and node.op_type in WEIGHTED_OPS)
        if finished or home is None:
            continue
        members[home].append(node.name)
        # Squeeze-excite works on what was pooled and not flattened: 1 × 1 pictures.
        narrow = node.op_type == "GlobalAveragePool" or (
            node.op_type not in {"Reshape", "Flatten"} and bool(inputs) and all(pooled.get(name) for name in inputs)
        )
        for name in node.output:
            homes[name] = home
            pooled[name] = narrow
    layers = tuple(
        Layer(_layer_name(node), node.op_type, tuple(nodes)) for node, nodes in zip(weighted, members, strict=True)
    )
    return Layers(_distinct(layers), _delicate(graph, layers, pooled), floats)


def has_int8(node: onnx.NodeProto) -> bool:
    """Whether onnxruntime's quantizer takes it: it miscounts the channels of a transposed convolution in groups."""
    groups = [helper.get_attribute_value(each) for each in node.attribute if each.name == "group"]
    return node.op_type in QUANTIZED_OPS and not (node.op_type == "ConvTranspose" and groups > [1])


def _is_matrix(tensor: onnx.TensorProto) -> bool:
    """Whether they are weights between what is many: no bias, scale or index."""
    return tensor.data_type == onnx.TensorProto.FLOAT and sum(side > 1 for side in tensor.dims) > 1


def _delicate(graph: onnx.GraphProto, layers: tuple[Layer, ...], pooled: dict[str, bool]) -> frozenset[str]:
    # Not the first one: what a float convolution gives differs by the processor, and every layer after it then would.
    spared = {name for layer in layers[-1:] for name in layer.nodes}
    gates = {name for node in graph.node if node.op_type in _GATES for name in node.output}
    for node in graph.node:
        if (
            node.op_type in _GATES
            or (node.op_type == "Mul" and any(name in gates for name in node.input))
            or any(pooled.get(name) for name in node.output)
        ):
            spared.add(node.name)
    return frozenset(spared)


def _layer_name(node: onnx.NodeProto) -> str:
    """The module path, where the weight still carries it: `layer1.0.conv1`."""
    name = node.input[1].partition(f".{FRONT}")[0]
    short = name.removesuffix(".weight").partition("backbone.")[2]
    return short or node.name or INPUT_NAME


def _distinct(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Members of an ensemble may share layer names; the later ones are numbered."""
    seen: dict[str, int] = {}
    named = []
    for layer in layers:
        seen[layer.name] = seen.get(layer.name, 0) + 1
        suffix = f"#{seen[layer.name]}" if seen[layer.name] > 1 else ""
        named.append(Layer(f"{layer.name}{suffix}", layer.op, layer.nodes))
    return tuple(named)
