"""An ONNX file as bytes: its header, a hash of its graph and weights, and its metadata, without the onnx package.

The file is one protobuf message, ModelProto of onnx.proto: fields one after another, each a tag and a value. Only this
outermost level is walked, and to count parameters the graph's list of nodes and tensors; the weights are never read.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple, TypeAlias

from edge_runtime.errors import ModelError, UsageError

_IR_VERSION, _GRAPH, _OPSET_IMPORT, _METADATA = 1, 7, 8, 14
_DOMAIN, _VERSION = 1, 2
_KEY, _VALUE = 1, 2
_NODE, _INITIALIZER = 1, 5
_NODE_INPUT, _NODE_OPERATOR = 1, 4
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NUMBERS, _TENSOR_NAME, _TENSOR_BYTES = 1, 2, 5, 8, 9
_TENSOR_ELSEWHERE = 13
_INT8 = 3
# TensorProto.DataType: float, float16, double, bfloat16.
_FLOATS = frozenset({1, 10, 11, 16})
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5

_Buffer: TypeAlias = "bytes | memoryview | mmap.mmap"


# Named tuples: every prediction waits for this module, and they are made nine times as fast as dataclasses.
class ModelHeader(NamedTuple):
    """What an ONNX file says before its graph: `opsets` maps a domain ("" is ONNX's own) to its version."""

    ir_version: int
    opsets: Mapping[str, int]


class _Field(NamedTuple):
    """One field: bytes `start` to `stop` whole, its value from `value`; `number` holds it where it is a varint."""

    tag: int
    start: int
    value: int
    stop: int
    number: int = 0


def check_model_file(path: Path) -> None:
    """Raise UsageError where there is no file at `path`, or a folder, a pipe, a device: what reads them may wait."""
    hint = "make one with edge export, or name another with `model`"
    try:
        if path.is_file():
            return
        if path.is_dir():
            raise UsageError(f"{path} is a folder, not a model file", hint)
        what = "is not a regular file" if path.exists() else "does not exist"
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint) from None
    raise UsageError(f"{path} {what}", hint)


def read_header(path: Path) -> ModelHeader:
    """IR version and operator sets of the ONNX file at `path`.

    Raises:
        UsageError: it cannot be read.
        ModelError: it is no ONNX file, or was cut short.
    """
    with _mapped(path) as data:
        ir_version, opsets = 0, {}
        for field in _walk(data, path):
            if field.tag == _IR_VERSION:
                ir_version = field.number
            elif field.tag == _OPSET_IMPORT:
                parts = {part.tag: part for part in _walk(data, path, field.value, field.stop)}
                domain = _read_text(data, parts[_DOMAIN]) if _DOMAIN in parts else ""
                opsets[domain] = parts[_VERSION].number if _VERSION in parts else 0
        return ModelHeader(ir_version, opsets)


def read_metadata(path: Path, data: bytes | None = None) -> dict[str, str]:
    """The metadata of the ONNX file at `path`, where the model card is; `data` are its bytes where they are known.

    Raises as `read_header` does.
    """
    entries = {}
    with _mapped(path) if data is None else nullcontext(data) as held:
        if not held:
            raise _empty(path)
        for field in _walk(held, path):
            if field.tag == _METADATA:
                texts = {part.tag: _read_text(held, part) for part in _walk(held, path, field.value, field.stop)}
                entries[texts.get(_KEY, "")] = texts.get(_VALUE, "")
    return entries


def graph_sha256(path: Path) -> str:
    """SHA-256 over the file at `path` without its metadata: graph, weights and operator sets, in hexadecimal.

    The metadata stays out because it holds the model card, which holds this hash. Raises as `read_header` does.
    """
    digest = hashlib.sha256()
    with _mapped(path) as data, memoryview(data) as view:
        for field in _walk(data, path):
            if field.tag != _METADATA:
                digest.update(view[field.start : field.stop])
    return digest.hexdigest()


def count_parameters(path: Path) -> int:
    """How many weights the ONNX file at `path` stores: the elements of its floating-point and its quantized tensors.

    Scales and zero points of quantization and single numbers are not counted. Batch normalisation that was folded into
    the layer before it has gone, so this is a little less than what training counts. Raises as `read_header` does.
    """
    with _mapped(path) as data:
        sizes: dict[str, tuple[int, int]] = {}
        quantized, steps = set(), set()
        for field in _walk(data, path):
            if field.tag != _GRAPH:
                continue
            for part in _walk(data, path, field.value, field.stop):
                if part.tag == _INITIALIZER:
                    name, kind, size = _read_tensor(data, path, part)
                    sizes[name] = kind, size
                elif part.tag == _NODE:
                    operator, inputs = _read_node(data, path, part)
                    if operator in ("QuantizeLinear", "DequantizeLinear"):
                        quantized.update(inputs[:1])
                        steps.update(inputs[1:])
    return sum(
        size
        for name, (kind, size) in sizes.items()
        if size > 1 and name not in steps and (kind in _FLOATS or name in quantized)
    )


def largest_int8_weight(path: Path) -> int | None:
    """The largest absolute value among the int8 weights of the ONNX file at `path`; None where it has none.

    Single numbers and what is all zero, as zero points are, do not count. Raises as `read_header` does.
    """
    largest = 0
    with _mapped(path) as data:
        for field in _walk(data, path):
            if field.tag != _GRAPH:
                continue
            for part in _walk(data, path, field.value, field.stop):
                if part.tag == _INITIALIZER:
                    # A set takes each value once, so that a large file costs tenths of a second.
                    largest = max(largest, max(map(_signed, _int8_values(data, path, part)), default=0))
    return largest or None


def _int8_values(data: _Buffer, path: Path, tensor: _Field) -> set[int]:
    """The different bytes of an int8 TensorProto; none of another type's."""
    parts = list(_walk(data, path, tensor.value, tensor.stop))
    if not any(part.tag == _TENSOR_TYPE and part.number == _INT8 for part in parts):
        return set()
    found: set[int] = set()
    for part in parts:
        if part.tag == _TENSOR_BYTES:
            found.update(bytes(data[part.value : part.stop]))
        elif part.tag == _TENSOR_NUMBERS:
            at = part.value
            while at < part.stop:
                number, at = _read_varint(data, at, path)
                found.add(number & 0xFF)
    return found


def _signed(byte: int) -> int:
    """The absolute value of a byte that stands for -128 to 127."""
    return byte if byte < 128 else 256 - byte


def _read_tensor(data: _Buffer, path: Path, tensor: _Field) -> tuple[str, int, int]:
    """Name, type and number of elements of a TensorProto."""
    name, kind, size = "", 0, 1
    for part in _walk(data, path, tensor.value, tensor.stop):
        if part.tag == _TENSOR_DIMS:
            # One number, or where the writer packs them, all of them.
            at = part.value
            while at < part.stop:
                side, at = _read_varint(data, at, path)
                size *= side
        elif part.tag == _TENSOR_TYPE:
            kind = part.number
        elif part.tag == _TENSOR_NAME:
            name = _read_text(data, part)
    return name, kind, size


def _read_node(data: _Buffer, path: Path, node: _Field) -> tuple[str, list[str]]:
    """Operator and inputs of a NodeProto."""
    operator, inputs = "", []
    for part in _walk(data, path, node.value, node.stop):
        if part.tag == _NODE_INPUT:
            inputs.append(_read_text(data, part))
        elif part.tag == _NODE_OPERATOR:
            operator = _read_text(data, part)
    return operator, inputs


def _read_text(data: _Buffer, field: _Field) -> str:
    return bytes(data[field.value : field.stop]).decode("utf-8", "replace")


def with_metadata(data: bytes, entries: Mapping[str, str], *, where: Path) -> bytes:
    """The ONNX file `data` with `entries` as its whole metadata; every other byte stays as it is.

    Raises ModelError, which names `where`, where `data` is no ONNX file.
    """
    view = memoryview(data)
    parts = [bytes(view[field.start : field.stop]) for field in _walk(data, where) if field.tag != _METADATA]
    return b"".join([*parts, *(_entry(key, value) for key, value in entries.items())])


def split_entry(data: bytes, key: str, *, where: Path) -> tuple[list[memoryview], str | None]:
    """The ONNX file `data` without the entry `key` of its metadata, as its pieces in order; and that entry's text.

    Raises:
        ModelError: `data` is no ONNX file, has several such entries, or one that is not written as `join_entry` does
            it: readers might not agree on what it says.
    """
    view = memoryview(data)
    pieces: list[memoryview] = []
    found: str | None = None
    for field in _walk(data, where):
        if field.tag == _METADATA:
            texts = {part.tag: _read_text(data, part) for part in _walk(data, where, field.value, field.stop)}
            if texts.get(_KEY) == key:
                text = texts.get(_VALUE, "")
                if found is not None or view[field.start : field.stop] != _entry(key, text):
                    raise ModelError(
                        f"{where} has several entries {key!r}, or one that is malformed", "export it again"
                    )
                found = text
                continue
        pieces.append(view[field.start : field.stop])
    return pieces, found


def join_entry(data: bytes, key: str, text: str, *, where: Path) -> bytes:
    """The ONNX file `data` with the entry `key` of its metadata, at its end; every other byte stays as it is.

    Raises ModelError as `split_entry` does.
    """
    return b"".join([*split_entry(data, key, where=where)[0], _entry(key, text)])


def keeps_weights_elsewhere(data: bytes, where: Path) -> bool:
    """Whether the ONNX file `data` names other files that hold its weights. Raises ModelError where it is none."""
    return any(
        piece.tag == _TENSOR_ELSEWHERE
        for field in _walk(data, where)
        if field.tag == _GRAPH
        for part in _walk(data, where, field.value, field.stop)
        if part.tag == _INITIALIZER
        for piece in _walk(data, where, part.value, part.stop)
    )


def _entry(key: str, value: str) -> bytes:
    """An entry of the metadata, as ModelProto holds it."""
    entry = _text(_KEY, key) + _text(_VALUE, value)
    return _varint(_METADATA << 3 | _LENGTH) + _varint(len(entry)) + entry


def _mapped(path: Path) -> mmap.mmap:
    """A file mapped into memory, so that hashing a large one takes no memory of its own."""
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise _empty(path) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name another file") from None


def _walk(data: _Buffer, path: Path, at: int = 0, end: int | None = None) -> Iterator[_Field]:
    """The fields of the message that takes bytes `at` to `end` (by default all), in the file's order."""
    end = len(data) if end is None else end
    while at < end:
        start = at
        key, at = _read_varint(data, at, path)
        tag, kind = key >> 3, key & 7
        number, value = 0, at
        if kind == _VARINT:
            number, at = _read_varint(data, at, path)
        elif kind == _LENGTH:
            length, value = _read_varint(data, at, path)
            at = value + length
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            at += 8 if kind == _EIGHT_BYTES else 4
        else:
            raise _broken(path)
        if at > end or tag == 0:
            raise _broken(path)
        yield _Field(tag, start, value, at, number)


def _read_varint(data: _Buffer, at: int, path: Path) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise _broken(path)
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def _varint(number: int) -> bytes:
    made = bytearray()
    while number >= 0x80:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def _text(tag: int, text: str) -> bytes:
    encoded = text.encode("utf-8")
    return _varint(tag << 3 | _LENGTH) + _varint(len(encoded)) + encoded


def _empty(path: Path) -> ModelError:
    return ModelError(f"{path} is empty", "export it again with edge export")


def _broken(path: Path) -> ModelError:
    return ModelError(f"{path} is not an ONNX file, or was cut short", "copy it again, or export it again")
