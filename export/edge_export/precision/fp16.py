"""fp16: half the file. Weights and arithmetic in half precision, the image's scaling and the softmax in single.

Not faster on most CPUs: onnxruntime computes in single precision there and converts around it. Its own converter
rounds the probabilities to half precision on their way out, and a row adds up to 1 to three digits; this one does not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edge_export.precision.answering_nodes import answering_nodes
from edge_export.precision.valid_file import keep_promises, own_words
from edge_runtime import INPUT_NAME, ModelError, open_session

# Slices and their concatenation are the views that are averaged.
_SCALING_OPS = frozenset({"Slice", "Concat", "Cast", "Transpose", "Reshape", "Sub", "Div", "Mul"})
LARGEST = float(np.finfo(np.float16).max)


def to_fp16(fp32_path: Path, out_path: Path) -> None:
    """Write the model file at `fp32_path` in half precision to `out_path`; its metadata stays as it is.

    Input and output keep their types: uint8 images in, float32 probabilities out.

    Raises:
        ModelError: a weight is beyond half precision's 65504, or onnxruntime cannot run the result.
    """
    source = onnx.load_model(str(fp32_path))
    with own_words(fp32_path, "fp16"):
        model = onnx.ModelProto()
        model.CopyFrom(source)
        _Halving(model, fp32_path).run()
        keep_promises(model, source)
    onnx.save_model(model, str(out_path))
    open_session(out_path, threads=1)


class _Halving:
    """One graph on its way to half precision: nodes between the first layer and the last, and what they read."""

    def __init__(self, model: onnx.ModelProto, path: Path) -> None:
        graph = model.graph
        self.graph, self.path = graph, path
        self.opsets = {entry.domain: entry.version for entry in model.opset_import}
        self.types = _value_types(graph)
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        self.casts: dict[tuple[str, int], onnx.NodeProto] = {}

    def run(self) -> None:
        single = _single(self.graph)
        taken: dict[str, set[int]] = {}
        halves: set[str] = set()
        for node in self.graph.node:
            if node.name not in single:
                taken[node.output[0]], given = self._follow(node)
                halves.update(given)
        outputs = {output.name for output in self.graph.output} & halves
        for node in self.graph.node:
            for at, name in enumerate(node.input):
                if self.types.get(name) != onnx.TensorProto.FLOAT:
                    continue
                is_half = at in taken.get(node.output[0], ())
                if is_half and name in self.weights:
                    node.input[at] = self._halve(self.weights[name])
                elif is_half != (name in halves):
                    node.input[at] = self._cast(name, is_half)
        for name in outputs:
            self._restore_output(name)
        self.graph.node.extend(self.casts.values())
        read = {name for node in self.graph.node for name in node.input}
        for tensor in [tensor for tensor in self.graph.initializer if tensor.name not in read]:
            self.graph.initializer.remove(tensor)
        del self.graph.value_info[:]

    def _follow(self, node: onnx.NodeProto) -> tuple[set[int], set[str]]:
        """Which inputs a node may read as halves, and which of its outputs are halves then.

        Some read floats alone, as the scales of a Resize are. An output of no input's type, as of a Cast, stays so.
        """
        schema = onnx.defs.get_schema(node.op_type, self.opsets[node.domain], node.domain)
        able = {each.type_param_str for each in schema.type_constraints if "tensor(float16)" in each.allowed_type_strs}
        inputs, outputs = (
            [sides[min(at, len(sides) - 1)].type_str for at in range(len(names))]
            for sides, names in ((schema.inputs, node.input), (schema.outputs, node.output))
        )
        floats = {name for name in (*node.input, *node.output) if self.types.get(name) == onnx.TensorProto.FLOAT}
        taken = {at for at, name in enumerate(node.input) if name in floats and inputs[at] in able}
        kinds = {inputs[at] for at in taken}
        return taken, {name for at, name in enumerate(node.output) if name in floats and outputs[at] in kinds}

    def _halve(self, tensor: onnx.TensorProto) -> str:
        name = f"{tensor.name}.half"
        if name not in self.weights:
            value = numpy_helper.to_array(tensor)
            if np.abs(value[np.isfinite(value)]).max(initial=0) > LARGEST:
                raise ModelError(
                    f"{self.path} cannot be made fp16: {tensor.name} holds values beyond {LARGEST:.0f}",
                    "export it with `precision` fp32",
                )
            self.weights[name] = self.graph.initializer.add()
            self.weights[name].CopyFrom(numpy_helper.from_array(value.astype(np.float16), name))
        return name

    def _cast(self, name: str, to_half: bool) -> str:
        kind = onnx.TensorProto.FLOAT16 if to_half else onnx.TensorProto.FLOAT
        output = f"{name}.{'half' if to_half else 'single'}"
        if (name, kind) not in self.casts:
            self.casts[name, kind] = helper.make_node("Cast", [name], [output], name=output, to=kind)
        return output

    def _restore_output(self, name: str) -> None:
        """A graph output that is half precision now becomes single again, under its name."""
        inner = f"{name}.inner"
        for node in (*self.graph.node, *self.casts.values()):
            for names in (node.input, node.output):
                for at, value in enumerate(names):
                    if value == name:
                        names[at] = inner
        cast = helper.make_node("Cast", [inner], [name], name=f"{name}.single", to=onnx.TensorProto.FLOAT)
        self.casts[inner, onnx.TensorProto.FLOAT] = cast


def _value_types(graph: onnx.GraphProto) -> dict[str, int]:
    model = onnx.shape_inference.infer_shapes(helper.make_model(graph))
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def _single(graph: onnx.GraphProto) -> set[str]:
    """Nodes that stay in single precision: the image's scaling, and those between the last layer and the answer."""
    before, names = {INPUT_NAME}, set()
    for node in graph.node:
        if node.op_type in _SCALING_OPS and node.input[0] in before:
            before.update(node.output)
            names.add(node.name)
    answering = answering_nodes(graph)
    behind: set[str] = set()
    for node in graph.node:
        if node.name in answering or any(name in behind for name in node.input):
            behind.update(node.output)
            names.add(node.name)
    ahead = {node.input[0] for node in graph.node if node.name in answering}
    for node in reversed(graph.node):
        if node.op_type in {"Div", "Mul", "Reshape", "Flatten"} and any(name in ahead for name in node.output):
            ahead.update(node.input[:1])
            names.add(node.name)
    return names
