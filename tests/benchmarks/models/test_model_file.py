"""What is found out about a model file before it is measured."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_benchmarks.models.model_file import inspect_model
from edge_runtime import ModelError, UsageError
from tiny_model import write_tiny_model


def write_net(
    path: Path, nodes: list[onnx.NodeProto], weights: dict[str, tuple[int, ...]], shape: list[object]
) -> Path:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones(sides, np.float32), name) for name, sides in weights.items()],
    )
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


def test_a_model_of_edge(tmp_path: Path) -> None:
    found = inspect_model(write_tiny_model(tmp_path / "tiny.onnx", size=48))
    assert found.card is not None and found.card.backbone == "tiny"
    assert (found.classes, found.input_px) == (3, "48")
    assert found.sha256 == hashlib.sha256((tmp_path / "tiny.onnx").read_bytes()).hexdigest()
    assert found.size_bytes == (tmp_path / "tiny.onnx").stat().st_size
    # Three colours to three labels.
    assert (found.parameters, found.multiply_adds) == (9, 9)


@pytest.mark.parametrize(
    ("nodes", "weights", "shape", "expected"),
    [
        # A convolution in two groups: each of 6 × 4 × 5 outputs sums over 2 channels of 3 × 3.
        (
            [helper.make_node("Conv", ["x", "w"], ["y"], group=2)],
            {"w": (6, 2, 3, 3)},
            ["n", 4, 6, 7],
            6 * 4 * 5 * 2 * 9,
        ),
        ([helper.make_node("Gemm", ["x", "w"], ["y"])], {"w": (5, 7)}, ["n", 5], 5 * 7),
        ([helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)], {"w": (7, 5)}, ["n", 5], 5 * 7),
        ([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": (5, 7)}, ["n", 3, 5], 3 * 5 * 7),
        (
            [helper.make_node("ConvTranspose", ["x", "w"], ["y"])],
            {"w": (3, 2, 2, 2)},
            ["n", 3, 4, 4],
            3 * 16 * 2 * 4,
        ),
        ([helper.make_node("Relu", ["x"], ["y"])], {}, ["n", 3], 0),
    ],
)
def test_multiply_adds_are_counted_from_the_shapes(
    tmp_path: Path, nodes: list[onnx.NodeProto], weights: dict[str, tuple[int, ...]], shape: list[object], expected: int
) -> None:
    assert inspect_model(write_net(tmp_path / "net.onnx", nodes, weights, shape)).multiply_adds == expected


def test_a_graph_that_is_no_classifier_says_its_shapes(tmp_path: Path) -> None:
    found = inspect_model(write_net(tmp_path / "net.onnx", [helper.make_node("Relu", ["x"], ["y"])], {}, ["n", 3]))
    assert (found.card, found.classes, found.input_px) == (None, None, "n×3")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.onnx does not exist"):
        inspect_model(tmp_path / "gone.onnx")
    (tmp_path / "text.onnx").write_text("not a model", encoding="utf-8")
    with pytest.raises(ModelError, match=r"text\.onnx"):
        inspect_model(tmp_path / "text.onnx")


def test_nothing_is_left_of_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx")
    monkeypatch.chdir(tmp_path)
    inspect_model(model)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.onnx"]


def test_an_int8_files_rearranged_stem_counts_as_the_one_it_stands_for(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from edge_export.precision.int8 import to_int8
    from quantized_nets import colours, point, write_net

    weight = np.random.default_rng(0).normal(0, 0.1, size=(8, 3, 7, 7)).astype(np.float32)
    net = write_net(tmp_path / "net.onnx", [weight, point(np.eye(8))], strides=2, pads=[3, 3, 3, 3])
    to_int8(net, tmp_path / "int8.onnx", [colours(3)[0]], threads=1)
    shapes = [tuple(tensor.dims) for tensor in onnx.load(tmp_path / "int8.onnx").graph.initializer]
    assert (16, 12, 7, 3) in shapes, "the stem was not rearranged"
    assert inspect_model(tmp_path / "int8.onnx").multiply_adds == inspect_model(net).multiply_adds
