"""An ONNX file as bytes: what the hash covers, what it does not, and that damage is an error, never a crash."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings, strategies as st
from onnx import helper, numpy_helper

from edge_runtime import METADATA_KEY, ModelError, UsageError, count_parameters
from edge_runtime.model.onnx_bytes import (
    graph_sha256,
    largest_int8_weight,
    read_header,
    read_metadata,
    with_metadata,
)
from tiny_model import IR_VERSION, OPSET, write_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx")


def test_the_header_is_what_onnx_reads(model: Path) -> None:
    proto = onnx.load(model)
    proto.opset_import.add(domain="com.microsoft", version=1)
    onnx.save(proto, model)
    header = read_header(model)
    assert header.ir_version == IR_VERSION
    assert header.opsets == {"": OPSET, "com.microsoft": 1}


def test_the_hash_is_of_everything_but_the_metadata(model: Path) -> None:
    before = graph_sha256(model)
    proto = onnx.load(model)
    proto.metadata_props[0].value = "another card"
    proto.metadata_props.add(key="author", value="somebody")
    onnx.save(proto, model)
    assert graph_sha256(model) == before
    del proto.metadata_props[:]
    onnx.save(proto, model)
    # Without metadata, it is the hash that sha256sum gives.
    assert graph_sha256(model) == before == hashlib.sha256(model.read_bytes()).hexdigest()


def test_every_weight_counts(model: Path) -> None:
    before = graph_sha256(model)
    proto = onnx.load(model)
    weights = next(each for each in proto.graph.initializer if each.name == "weights")
    data = bytearray(weights.raw_data)
    data[-1] ^= 1
    weights.raw_data = bytes(data)
    onnx.save(proto, model)
    assert graph_sha256(model) != before


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=20), st.text(max_size=300), max_size=4))
def test_metadata_is_replaced_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, str]
) -> None:
    path = write_tiny_model(tmp_path_factory.mktemp("m") / "model.onnx")
    before, old = graph_sha256(path), onnx.load(path)
    path.write_bytes(with_metadata(path.read_bytes(), entries, where=path))
    assert graph_sha256(path) == before
    new = onnx.load(path)
    assert {entry.key: entry.value for entry in new.metadata_props} == entries == read_metadata(path)
    assert new.graph == old.graph and new.opset_import == old.opset_import


def test_metadata_of_a_surrogate_is_refused_before_anything_is_written(model: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        with_metadata(model.read_bytes(), {METADATA_KEY: "\udcf6"}, where=model)


@pytest.mark.parametrize(
    "content", [b"", b"hello, this is no model\n", b"\x89PNG\r\n\x1a\n" + bytes(100), b"\xff" * 40]
)
def test_what_is_no_model_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    for read in (graph_sha256, read_header):
        with pytest.raises(ModelError, match=r"x\.onnx"):
            read(tmp_path / "x.onnx")


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        graph_sha256(tmp_path / "gone.onnx")


def test_a_file_cut_short_never_keeps_its_hash(model: Path) -> None:
    whole, before = model.read_bytes(), graph_sha256(model)
    metadata = len(whole) - len(whole[: whole.rindex(b"\x72")])
    for length in range(1, len(whole) - metadata, 5):
        model.write_bytes(whole[:length])
        try:
            assert graph_sha256(model) != before
        except ModelError:
            continue


def test_damage_gives_a_hash_or_an_error_never_a_crash(model: Path) -> None:
    whole = model.read_bytes()
    dice = random.Random(0)
    for _ in range(1000):
        damaged = bytearray(whole)
        damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        model.write_bytes(damaged)
        try:
            graph_sha256(model)
            read_header(model)
        except ModelError as error:
            assert "model.onnx" in error.message


def net(path: Path, *tensors: onnx.TensorProto, nodes: Sequence[onnx.NodeProto] = ()) -> Path:
    graph = helper.make_graph(list(nodes), "net", [], [], list(tensors))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)]), path)
    return path


def test_parameters_are_weights_and_neither_shapes_nor_single_numbers(tmp_path: Path) -> None:
    path = net(
        tmp_path / "net.onnx",
        numpy_helper.from_array(np.zeros((5, 4, 3), np.float32), "weights"),
        numpy_helper.from_array(np.zeros((300, 2), np.float16), "half"),
        numpy_helper.from_array(np.array([1, -1], np.int64), "shape"),
        numpy_helper.from_array(np.array(6, np.float32), "limit"),
    )
    assert count_parameters(path) == 5 * 4 * 3 + 300 * 2


def test_parameters_of_int8_are_its_weights_without_their_scales(tmp_path: Path) -> None:
    path = net(
        tmp_path / "net.onnx",
        numpy_helper.from_array(np.zeros((8, 9), np.int8), "weights"),
        numpy_helper.from_array(np.zeros(8, np.float32), "scales"),
        numpy_helper.from_array(np.zeros(8, np.int8), "zeros"),
        numpy_helper.from_array(np.zeros(8, np.int32), "bias"),
        nodes=[
            helper.make_node("DequantizeLinear", ["weights", "scales", "zeros"], ["w"], axis=0),
            helper.make_node("DequantizeLinear", ["bias", "scales"], ["b"], axis=0),
        ],
    )
    assert count_parameters(path) == 8 * 9 + 8


def test_packed_sides_count_too(tmp_path: Path) -> None:
    # What protobuf's other writers do with a list of numbers; onnx's own does not.
    tensor = b"\x0a\x02\x03\x04" + b"\x10\x01" + b"\x42\x01w"
    graph = b"\x2a" + bytes([len(tensor)]) + tensor
    (tmp_path / "net.onnx").write_bytes(b"\x3a" + bytes([len(graph)]) + graph)
    assert count_parameters(tmp_path / "net.onnx") == 12


@pytest.mark.parametrize("cut", [1, 30, 60])
def test_a_cut_file_has_no_parameters_but_an_error(model: Path, cut: int) -> None:
    model.write_bytes(model.read_bytes()[:-cut])
    with pytest.raises(ModelError, match="cut short"):
        count_parameters(model)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("values", [[-64, 3, 0, 63], [1, -128, 5, 7], [0, 127, 0, 0]])
def test_the_largest_int8_weight_is_found_however_it_is_stored(model: Path, values: list[int], *, raw: bool) -> None:
    assert largest_int8_weight(model) is None
    proto = onnx.load(model)
    numbers = np.array(values, np.int8)
    stored = numbers.tobytes() if raw else values
    proto.graph.initializer.append(helper.make_tensor("zero", onnx.TensorProto.INT8, [2], [0, 0]))
    proto.graph.initializer.append(helper.make_tensor("w", onnx.TensorProto.INT8, [2, 2], stored, raw=raw))
    proto.graph.initializer.append(helper.make_tensor("u", onnx.TensorProto.UINT8, [1], [200]))
    onnx.save(proto, model)
    assert largest_int8_weight(model) == int(np.abs(numbers.astype(int)).max())
