"""A hard sigmoid of integers is a clip of them, to the last bit, and the file that has it answers as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings, strategies as st
from onnx import TensorProto, helper, numpy_helper

import edge_export.precision.int8 as writing
from edge_export import Quantizer
from edge_export.precision.int8_gates import clip_in_integers, fit_gate
from edge_runtime import open_session

STEPS = 255
# As torch has it, and as ONNX has it where nothing is said.
LINES = [{"alpha": 1 / 6, "beta": 0.5}, {}]


def hard_sigmoid(**line: float) -> onnx.NodeProto:
    return helper.make_node("HardSigmoid", ["x"], ["gate"], name="gate", **line)


@pytest.mark.parametrize("line", LINES)
@given(low=st.floats(-20, 0), high=st.floats(0, 20))
@settings(deadline=None)
def test_its_steps_hold_the_range_and_make_it_a_clip(line: dict[str, float], low: float, high: float) -> None:
    found = fit_gate(hard_sigmoid(**line), low, high, STEPS)
    assert found is not None
    alpha, beta = line.get("alpha", 0.2), line.get("beta", 0.5)
    numbers = np.arange(256)
    values = found.size * (numbers - found.zero)
    assert values[0] <= low + 0.01 * found.size and values[-1] >= high - 0.01 * found.size
    exact = np.clip(alpha * values + beta, 0, 1)
    clipped = np.clip(numbers, found.own_zero, found.own_zero + round(1 / found.own_size))
    assert np.abs(found.own_size * (clipped - found.own_zero) - exact).max() < 1e-5


@pytest.mark.parametrize("line", [{"alpha": -0.2}, {"beta": 0.0}, {"beta": 1.5}])
def test_a_line_without_both_bends_is_left(line: dict[str, float]) -> None:
    assert fit_gate(hard_sigmoid(**line), -4.0, 4.0, STEPS) is None


def between_integers(size: float, zero: int, own_size: float, own_zero: int) -> onnx.ModelProto:
    """uint8 to float, hard sigmoid, to uint8."""
    numbers = {"s": np.float32(size), "z": np.uint8(zero), "os": np.float32(own_size), "oz": np.uint8(own_zero)}
    nodes = [
        helper.make_node("DequantizeLinear", ["numbers", "s", "z"], ["x"], name="down"),
        hard_sigmoid(alpha=1 / 6, beta=0.5),
        helper.make_node("QuantizeLinear", ["gate", "os", "oz"], ["out"], name="up"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "gate",
        [value("numbers", TensorProto.UINT8, [256])],
        [value("out", TensorProto.UINT8, [256])],
        [numpy_helper.from_array(np.array(array), name) for name, array in numbers.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_onnxruntime_gives_the_same_integers(tmp_path: Path) -> None:
    found = fit_gate(hard_sigmoid(alpha=1 / 6, beta=0.5), -5.3, 6.1, STEPS)
    assert found is not None
    model = between_integers(found.size, found.zero, found.own_size, found.own_zero)
    answers = []
    for name, change in (("before", lambda _: None), ("after", clip_in_integers)):
        change(model.graph)
        onnx.checker.check_model(model)
        onnx.save_model(model, str(tmp_path / name))
        (answer,) = open_session(tmp_path / name, threads=1).run(None, {"numbers": np.arange(256, dtype=np.uint8)})
        answers.append(answer)
    assert [node.op_type for node in model.graph.node] == ["Clip"]
    assert np.array_equal(*answers)
    assert answers[0].min() == found.own_zero and len(set(answers[0].tolist())) > 100


def test_other_steps_stay_a_function_of_floats() -> None:
    """Of a file that another program made, or where the bends are outside what there is."""
    model = between_integers(0.05, 128, 1 / 255, 0)
    clip_in_integers(model.graph)
    assert [node.op_type for node in model.graph.node] == ["DequantizeLinear", "HardSigmoid", "QuantizeLinear"]


def test_a_hard_swish_network_stays_in_integers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hard swishes that see numbers on both sides of their bends, and one that never comes near them."""
    draw = np.random.default_rng(0)
    weights = [draw.normal(0, size, (3, 3, 1, 1)).astype(np.float32) for size in (4.0, 1.5, 1e-4)]
    nodes, last = [], "pixels"
    for index in range(3):
        nodes += [
            helper.make_node("Conv", [last, f"w{index}"], [f"c{index}"], name=f"conv{index}"),
            helper.make_node("HardSigmoid", [f"c{index}"], [f"g{index}"], name=f"gate{index}", alpha=1 / 6, beta=0.5),
            helper.make_node("Mul", [f"c{index}", f"g{index}"], [f"m{index}"], name=f"mul{index}"),
        ]
        last = f"m{index}"
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["float"], name="cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", ["float", "scale"], ["scaled"], name="scaling"),
            helper.make_node("Transpose", ["scaled"], ["pixels"], name="turn", perm=[0, 3, 1, 2]),
            *nodes,
            helper.make_node("GlobalAveragePool", [last], ["mean"], name="mean"),
            helper.make_node("Flatten", ["mean"], ["flat"], name="flatten"),
            helper.make_node("Softmax", ["flat"], ["probabilities"], name="softmax"),
        ],
        "swishes",
        [value("image", TensorProto.UINT8, ["batch", 8, 8, 3])],
        [value("probabilities", TensorProto.FLOAT, ["batch", 3])],
        [
            numpy_helper.from_array(np.array(1 / 128, np.float32), "scale"),
            *(numpy_helper.from_array(weight, f"w{index}") for index, weight in enumerate(weights)),
        ],
    )
    source = tmp_path / "float.onnx"
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(source))
    pixels = draw.integers(0, 256, (16, 8, 8, 3), dtype=np.uint8)
    answers = {}
    for name in ("clipped", "float gates"):
        if name == "float gates":
            monkeypatch.setattr(writing, "clip_in_integers", lambda _: None)
        target = tmp_path / f"{name}.onnx"
        with Quantizer(source, [pixels], threads=1) as quantizer:
            quantizer.write(target)
        ops = [node.op_type for node in onnx.load_model(str(target)).graph.node]
        assert (ops.count("Clip"), ops.count("HardSigmoid")) == ((2, 1) if name == "clipped" else (0, 3))
        (answers[name],) = open_session(target, threads=1).run(None, {"image": pixels})
    assert np.abs(answers["clipped"] - answers["float gates"]).max() < 1e-5
