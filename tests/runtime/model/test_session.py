"""Which files open as models, and one clear error for each that does not."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_runtime import Classifier, EdgeError, ModelCard, ModelError, Preprocessing, UsageError, one_line, open_session
from tiny_model import write_tiny_model

Change = Callable[[onnx.ModelProto], object]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx")


@pytest.fixture
def card(model: Path) -> ModelCard:
    return Classifier(model).card


def changed(model: Path, change: Change) -> Path:
    proto = onnx.load(model)
    change(proto)
    model.write_bytes(proto.SerializeToString())
    return model


def shape(value: onnx.ValueInfoProto) -> onnx.TensorShapeProto:
    return value.type.tensor_type.shape


def test_a_model_opens_with_the_threads_it_is_given(model: Path) -> None:
    session = open_session(model, threads=1)
    assert session.get_session_options().intra_op_num_threads == 1
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert open_session(str(model)).run(None, {"image": np.zeros((2, 32, 32, 3), np.uint8)})[0].shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone.onnx", "does not exist"),
        ("folder", "is a folder"),
        ("model.onnx/inside", "does not exist"),
        ("pipe", "is not a regular file"),
        ("x" * 300, "File name too long"),
        ("null\0character", "does not exist"),
    ],
)
def test_a_path_that_names_no_file_is_wrong_usage(model: Path, name: str, said: str) -> None:
    (model.parent / "folder").mkdir()
    os.mkfifo(model.parent / "pipe")
    with pytest.raises(UsageError, match=said) as caught:
        Classifier(model.parent / name)
    assert one_line(name) in str(caught.value) and "edge export" in caught.value.hint


def test_a_path_that_is_not_utf8_opens(model: Path) -> None:
    strange = Path(os.fsdecode(os.fsencode(model.parent) + b"/mod\xe8le.onnx"))
    try:
        model.rename(strange)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    assert Classifier(strange).labels == ("a", "b", "c")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"hello, this is no model\n", "not an ONNX file"),
        (b"<!DOCTYPE html><html>", "not an ONNX file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "not an ONNX file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not an ONNX file"),
        (bytes(1000), "not an ONNX file"),
    ],
)
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=said) as caught:
        Classifier(tmp_path / "x.onnx")
    assert "x.onnx" in caught.value.message and caught.value.hint


def test_a_file_cut_short_anywhere_never_opens(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = model.read_bytes()
    for length in range(0, len(whole), 7):
        model.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"model\.onnx"):
            Classifier(model, threads=1)
    assert capfd.readouterr() == ("", ""), "what is wrong is said once, by whoever catches the error"


def test_a_damaged_byte_gives_an_answer_or_an_error_never_a_crash(
    model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = model.read_bytes()
    dice = random.Random(0)
    refused = 0
    for _ in range(1500):
        damaged = bytearray(whole)
        damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        model.write_bytes(damaged)
        try:
            classifier = Classifier(model, threads=1)
            contract = classifier.preprocessing
            classifier.probabilities(np.zeros((1, contract.height_px, contract.width_px, 3), np.uint8))
        except EdgeError as error:
            refused += 1
            assert "model.onnx" in error.message
    assert refused > 500
    assert capfd.readouterr() == ("", "")


def newer_opset(proto: onnx.ModelProto) -> None:
    proto.opset_import[0].version = 99


def newer_ir(proto: onnx.ModelProto) -> None:
    proto.ir_version = 99


@pytest.mark.parametrize(("change", "said"), [(newer_opset, "opset 99"), (newer_ir, "ir version 99")])
def test_a_file_of_the_future_asks_for_a_newer_onnxruntime(model: Path, change: Change, said: str) -> None:
    with pytest.raises(ModelError, match="needs a newer onnxruntime") as caught:
        Classifier(changed(model, change))
    assert onnxruntime.__version__ in caught.value.message and said in caught.value.message
    assert len(caught.value.message) < 250, "not onnxruntime's C++ signatures"
    assert caught.value.hint == "pip install --upgrade onnxruntime"


def test_a_foreign_model_is_named_as_such(model: Path) -> None:
    changed(model, lambda proto: proto.ClearField("metadata_props"))
    with pytest.raises(ModelError, match="edge export did not make it"):
        Classifier(model)
    assert open_session(model).get_inputs()[0].name == "image", "it can still be looked at"


def other_input(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].name = proto.graph.node[0].input[0] = "input.1"


def other_output(proto: onnx.ModelProto) -> None:
    proto.graph.output[0].name = proto.graph.node[-1].output[0] = "softmax"


def second_input(proto: onnx.ModelProto) -> None:
    proto.graph.input.append(helper.make_tensor_value_info("scale", TensorProto.FLOAT, [1]))


def other_size(proto: onnx.ModelProto) -> None:
    shape(proto.graph.input[0]).dim[1].dim_value = 64


def float_input(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def unknown_rank(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.ClearField("shape")


def double_output(proto: onnx.ModelProto) -> None:
    proto.graph.node[-1].output[0] = "soft"
    proto.graph.node.append(helper.make_node("Cast", ["soft"], ["probabilities"], to=TensorProto.DOUBLE))
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def deep_output(proto: onnx.ModelProto) -> None:
    proto.graph.node[-1].output[0] = "soft"
    proto.graph.node.append(helper.make_node("Unsqueeze", ["soft", "sides"], ["probabilities"]))
    proto.graph.output[0].type.tensor_type.ClearField("shape")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_input, "input.1"),
        (other_output, "softmax"),
        (second_input, "scale"),
        (other_size, "64"),
        (float_input, r"tensor\(float\)"),
        (unknown_rank, "dynamic batch"),
        (double_output, r"tensor\(double\)"),
        (deep_output, "not float32"),
    ],
)
def test_a_graph_that_breaks_the_format_is_refused(model: Path, change: Change, said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        Classifier(changed(model, change))
    assert "model.onnx" in caught.value.message and "edge export" in caught.value.hint


def test_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="dynamic batch"):
        Classifier(write_tiny_model(tmp_path / "fixed.onnx", batch=1))


def test_labels_that_do_not_match_the_outputs_are_refused(tmp_path: Path, card: ModelCard) -> None:
    path = write_tiny_model(tmp_path / "x.onnx", card=replace(card, labels=("a", "b")))
    with pytest.raises(ModelError, match="3 outputs but 2 labels"):
        Classifier(path)


def test_a_size_that_does_not_match_the_card_is_refused(tmp_path: Path, card: ModelCard) -> None:
    contract = Preprocessing(resize_px=48, height_px=48, width_px=48, interpolation="bilinear")
    path = write_tiny_model(tmp_path / "x.onnx", card=replace(card, preprocessing=contract))
    with pytest.raises(ModelError, match=r"dynamic batch of \[48, 48, 3\]"):
        Classifier(path)


def test_a_graph_that_fails_on_its_input_is_a_model_error(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def one_row(proto: onnx.ModelProto) -> None:
        # A Reshape to one row: what an export with a batch of 1 leaves behind a batch that is dynamic in name only.
        proto.graph.node[-1].output[0] = "soft"
        proto.graph.initializer.append(helper.make_tensor("row", TensorProto.INT64, [2], [1, 3]))
        proto.graph.node.append(helper.make_node("Reshape", ["soft", "row"], ["probabilities"]))
        shape(proto.graph.output[0]).dim[0].dim_param = "rows"

    classifier = Classifier(changed(model, one_row))
    assert classifier.probabilities(np.zeros((1, 32, 32, 3), np.uint8)).shape == (1, 3)
    with pytest.raises(ModelError, match="fails on 2 images"):
        classifier.probabilities(np.zeros((2, 32, 32, 3), np.uint8))
    assert capfd.readouterr() == ("", "")


def test_opening_starts_no_python_threads(model: Path) -> None:
    before = threading.active_count()
    Classifier(model)
    assert threading.active_count() == before


@pytest.fixture
def convolutions(tmp_path: Path) -> Path:
    """A graph with work enough for several threads."""
    weights = np.full((64, 64, 3, 3), 0.001, np.float32)
    names = ["x", *(f"t{number}" for number in range(7)), "y"]
    nodes = [
        helper.make_node("Conv", [before, "w"], [after], pads=[1, 1, 1, 1])
        for before, after in itertools.pairwise(names)
    ]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64, 48, 48]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "layers", value[:1], value[1:], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "layers.onnx")
    return tmp_path / "layers.onnx"


def test_its_threads_sleep_between_two_pictures(convolutions: Path) -> None:
    session = open_session(convolutions, threads=2)
    pixels = np.zeros((1, 64, 48, 48), np.float32)
    session.run(None, {"x": pixels})
    paused_s = spent_s = 0.0
    for _ in range(10):
        session.run(None, {"x": pixels})
        clock, processor = time.perf_counter(), time.process_time()
        time.sleep(0.05)
        paused_s += time.perf_counter() - clock
        spent_s += time.process_time() - processor
    # By onnxruntime's own settings a third of the pauses and more; nobody spins where other work takes the cores.
    assert spent_s < 0.1 * paused_s
    assert session.get_session_options().get_session_config_entry("session.force_spinning_stop") == "1"
