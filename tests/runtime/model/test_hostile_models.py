"""Model files that are damaged, foreign, of the future or a trap: through the command line, one clear error each.

tests/runtime/test_session.py asks the same of the classes one by one; here it is what a person and a script meet.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edge_runtime import METADATA_KEY, Classifier, ModelError
from tiny_model import write_tiny_model

Change = Callable[[onnx.ModelProto], object]

posix = pytest.mark.skipif(os.name != "posix", reason="there are none")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx")


@pytest.fixture
def red(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 60), "red").save(tmp_path / "red.png")
    return tmp_path / "red.png"


def changed(model: Path, change: Change) -> None:
    proto = onnx.load(model, load_external_data=False)
    change(proto)
    model.write_bytes(proto.SerializeToString())


def card_of(proto: onnx.ModelProto) -> Any:
    (entry,) = (entry for entry in proto.metadata_props if entry.key == METADATA_KEY)
    return json.loads(entry.value)


def with_card(proto: onnx.ModelProto, text: str) -> None:
    del proto.metadata_props[:]
    proto.metadata_props.add(key=METADATA_KEY, value=text)


def with_field(**fields: Any) -> Change:
    """Replace keys of the card; one that is None is taken away."""

    def change(proto: onnx.ModelProto) -> None:
        card = {**card_of(proto), **fields}
        with_card(proto, json.dumps({key: value for key, value in card.items() if value is not None}))

    return change


# What the bytes are


def bytes_of(content: bytes) -> Callable[[Path], None]:
    return lambda model: (model.write_bytes(content), None)[1]


def cut(part: float) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        data = model.read_bytes()
        model.write_bytes(data[: int(len(data) * part)])

    return change


def claims_2_gb(model: Path) -> None:
    # A graph (field 7) of 2 GB - 1, of which the file has nothing.
    model.write_bytes(b"\x08\x0a\x3a\xff\xff\xff\xff\x07")


# What the graph says


def graph(change: Change) -> Callable[[Path], None]:
    return lambda model: changed(model, change)


def unknown_operator(proto: onnx.ModelProto) -> None:
    proto.graph.node[-1].op_type = "Sharpmax"


def custom_operator(proto: onnx.ModelProto) -> None:
    proto.graph.node[-1].op_type = "Sharpmax"
    proto.graph.node[-1].domain = "com.acme"
    proto.opset_import.append(helper.make_opsetid("com.acme", 1))


def unimplemented_type(proto: onnx.ModelProto) -> None:
    # Valid ONNX that the CPU has no code for.
    proto.graph.node[-1].input[0] = "half"
    proto.graph.node[-1].output[0] = "soft"
    proto.graph.node.insert(3, helper.make_node("Cast", ["logits"], ["half"], to=TensorProto.BFLOAT16))
    proto.graph.node.append(helper.make_node("Cast", ["soft"], ["probabilities"], to=TensorProto.FLOAT))


def cycle(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].input[0] = "logits"


def duplicate_output(proto: onnx.ModelProto) -> None:
    proto.graph.node.append(helper.make_node("Identity", ["logits"], ["probabilities"]))


def weights_of_a_terabyte(proto: onnx.ModelProto) -> None:
    proto.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "huge"))
    proto.graph.initializer[-1].dims[0] = 2**40
    proto.graph.node.append(helper.make_node("Identity", ["huge"], ["copy"]))
    proto.graph.output.append(helper.make_tensor_value_info("copy", TensorProto.FLOAT, None))


def weights_without_data(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[1].dims[:] = [2**31, 2**31]
    proto.graph.initializer[1].ClearField("raw_data")


def constant_of_a_terabyte(proto: onnx.ModelProto) -> None:
    proto.graph.initializer.append(numpy_helper.from_array(np.array([2**20, 2**20], np.int64), "huge"))
    proto.graph.node.insert(0, helper.make_node("ConstantOfShape", ["huge"], ["zeros"]))
    proto.graph.node.insert(1, helper.make_node("ReduceMax", ["zeros"], ["nought"], keepdims=0))
    proto.graph.node[-1].output[0] = "soft"
    proto.graph.node.append(helper.make_node("Add", ["soft", "nought"], ["probabilities"]))


def foreign(proto: onnx.ModelProto) -> None:
    del proto.metadata_props[:]


# What the weights are kept in


def weights_in(location: str, length: int = 36) -> Callable[[Path], None]:
    def change(proto: onnx.ModelProto) -> None:
        weights = proto.graph.initializer[1]
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
            weights.external_data.add(key=key, value=value)

    return lambda model: changed(model, change)


@posix
def pipe_beside(model: Path) -> None:
    os.mkfifo(model.parent / "weights.bin")
    weights_in("weights.bin")(model)


NOT_ONNX = "is not an ONNX file"
HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (bytes_of(b""), "is empty"),
    "text": (bytes_of(b"hello\n"), NOT_ONNX),
    "a web page": (bytes_of(b"<!DOCTYPE html><title>404</title>"), NOT_ONNX),
    "an archive": (bytes_of(b"PK\3\4" + bytes(200)), NOT_ONNX),
    "an archive's first bytes cut off": (lambda model: model.write_bytes(model.read_bytes()[9:]) and None, NOT_ONNX),
    "cut at a tenth": (cut(0.1), "model.onnx"),
    "cut in half": (cut(0.5), "model.onnx"),
    "cut at nine tenths": (cut(0.9), "model.onnx"),
    "claims two gigabytes": (claims_2_gb, NOT_ONNX),
    "newer format": (graph(with_field(format_version=4)), "model format 4; this edge reads up to 3"),
    "no format": (graph(with_field(format_version=None)), "lacks 'format_version'"),
    "no labels": (graph(with_field(labels=[])), "'labels' must be a list"),
    "too few labels": (graph(with_field(labels=["a", "b"])), "3 outputs but 2 labels"),
    "too many labels": (graph(with_field(labels=list("abcd"))), "3 outputs but 4 labels"),
    "labels that are no text": (graph(with_field(labels=[1, 2, 3])), "'labels' must be a list"),
    "no preprocessing": (graph(with_field(preprocessing=None)), "lacks 'preprocessing'"),
    "preprocessing of a million pixels": (
        graph(lambda proto: with_field(preprocessing={**card_of(proto)["preprocessing"], "height": 10**6})(proto)),
        "height 1000000",
    ),
    "a card that is no JSON": (graph(lambda proto: with_card(proto, "{labels: a}")), "is not JSON"),
    "a card of brackets": (graph(lambda proto: with_card(proto, "[" * 100_000)), "is not JSON"),
    "a card that is a list": (graph(lambda proto: with_card(proto, "[]")), "not a JSON object"),
    "newer opset": (graph(lambda proto: setattr(proto.opset_import[0], "version", 99)), "needs a newer onnxruntime"),
    "newer IR": (graph(lambda proto: setattr(proto, "ir_version", 99)), "needs a newer onnxruntime"),
    "foreign": (graph(foreign), "edge export did not make it"),
    "an unknown operator": (graph(unknown_operator), "the operator Sharpmax"),
    "a custom operator": (graph(custom_operator), "the operator com.acme:Sharpmax"),
    "an operator without code": (graph(unimplemented_type), "the operator "),
    "a cycle": (graph(cycle), "model.onnx"),
    "two answers of one name": (graph(duplicate_output), "model.onnx"),
    "weights of which there is no data": (graph(weights_without_data), "model.onnx"),
    "weights that claim a terabyte": (graph(weights_of_a_terabyte), "declares a size"),
    "a constant of a terabyte": (graph(constant_of_a_terabyte), "model.onnx"),
    "weights in a file that is absent": (weights_in("gone.bin"), "in another file"),
    "weights in a file elsewhere": (weights_in("../outside.bin"), "in another file"),
    "weights in a file of the system": (weights_in("/etc/passwd"), "in another file"),
    "weights beyond the end of their file": (weights_in("red.png", 10**9), "model.onnx"),
    "weights in a device": (weights_in("/dev/zero"), "in another file"),
    "weights in a pipe": (pipe_beside, "model.onnx"),
}


def one_error(done: Any, code: int) -> str:
    """What a command said, which must be one error and one hint."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2 and lines[0].startswith("error: ") and lines[1].startswith(" hint: "), done.stderr
    # A line is what can be taken in at a glance; onnxruntime's own go on for a page.
    assert all(len(line) < 400 and ".cc:" not in line for line in lines), done.stderr
    return str(done.stderr)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_model_is_one_clear_error(edge: Any, model: Path, red: Path, name: str) -> None:
    make, said = HOSTILE[name]
    outside = model.parent.parent / "outside.bin"
    outside.write_bytes(bytes(36))
    make(model)
    try:
        error = one_error(edge("predict", "--image", red, "--model", model, cwd=model.parent), code=1)
    finally:
        outside.unlink()
    assert said in error and "model.onnx" in error


def test_a_foreign_model_is_told_how_it_can_be_run(edge: Any, model: Path, red: Path) -> None:
    changed(model, foreign)
    error = one_error(edge("predict", "--image", red, "--model", model), code=1)
    assert "--labels" in error and "--preprocess" in error


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone.onnx", "does not exist"),
        ("folder", "is a folder"),
        pytest.param("pipe", "is not a regular file", marks=posix),
        pytest.param("/dev/zero", "is not a regular file", marks=posix),
        ("link.onnx", "does not exist"),
    ],
)
@pytest.mark.timeout(60)
def test_what_is_no_file_is_wrong_usage(edge: Any, model: Path, red: Path, name: str, said: str) -> None:
    (model.parent / "folder").mkdir()
    (model.parent / "link.onnx").symlink_to("nowhere.onnx")
    if os.name == "posix":
        os.mkfifo(model.parent / "pipe")
    error = one_error(edge("predict", "--image", red, "--model", name, cwd=model.parent), code=2)
    assert name in error and said in error


@pytest.mark.parametrize("verb", ["info", "bench --duration 0.1", "evaluate --data photos --model"])
def test_every_command_says_it_in_one_line(edge: Any, model: Path, red: Path, verb: str) -> None:
    for colour in ("a", "b", "c"):
        (model.parent / "photos" / colour).mkdir(parents=True)
        shutil.copy(red, model.parent / "photos" / colour)
    for make, said in (HOSTILE["cut in half"], HOSTILE["newer format"]):
        write_tiny_model(model)
        make(model)
        done = edge(*verb.split(), model, cwd=model.parent)
        assert said in one_error(done, code=1)


def test_a_file_cut_anywhere_is_never_half_a_model(model: Path) -> None:
    whole = model.read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 97)):
        model.write_bytes(whole[:length])
        with pytest.raises(ModelError) as caught:
            Classifier(model, threads=1)
        assert len(str(caught.value).splitlines()) == 1 and caught.value.hint


def test_weights_outside_the_models_folder_are_never_read(model: Path) -> None:
    weights = np.zeros((3, 3), np.float32)
    (model.parent / "inside").mkdir()
    inside = model.parent / "inside" / "model.onnx"
    (model.parent / "weights.bin").write_bytes(weights.tobytes())
    for location in ("../weights.bin", str(model.parent / "weights.bin"), "x/../../weights.bin"):
        shutil.copy(model, inside)
        weights_in(location)(inside)
        with pytest.raises(ModelError, match="in another file"):
            Classifier(inside, threads=1)
