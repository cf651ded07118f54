"""Where a graph's layers end and its answers begin: softmax or sigmoid of the logits, not those of an attention."""

from __future__ import annotations

import onnx

from edge_runtime import EMBEDDING_NAME

WEIGHTED_OPS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# A temperature, and where a network has several answers what gives each task its share of the logits.
_BEFORE_OPS = frozenset({"Div", "Slice", "Split"})
_ANSWERING_OPS = frozenset({"Softmax", "Sigmoid"})


def answering_nodes(graph: onnx.GraphProto) -> frozenset[str]:
    """The names of the nodes between logits and probabilities of each output, softmax or sigmoid included.

    What averages the probabilities of members or views afterwards is not among them.
    """
    makers = {output: node for node in graph.node for output in node.output}
    # What is behind an embedding may be an activation's sigmoid.
    waiting = [makers[output.name] for output in graph.output if output.name in makers.keys() - {EMBEDDING_NAME}]
    seen: set[str] = set()
    answering: list[onnx.NodeProto] = []
    while waiting:
        node = waiting.pop()
        if node.op_type in _ANSWERING_OPS:
            answering.append(node)
        elif node.output[0] not in seen and node.op_type not in {*WEIGHTED_OPS, "Shape"}:
            waiting += [makers[name] for name in node.input if name in makers]
        seen.update(node.output)
    found: set[str] = set()
    while answering:
        node = answering.pop()
        found.add(node.name)
        before = [makers[name] for name in node.input if name in makers]
        answering += [each for each in before if each.op_type in _BEFORE_OPS and each.name not in found]
    return frozenset(found)
