"""Tensors of the Open Inference Protocol, version 2, as JSON and in its binary extension.

https://github.com/kserve/open-inference-protocol and Triton's "binary tensor data" extension: a JSON header whose
length stands in Inference-Header-Content-Length, and behind it the tensors' bytes, little endian, in the same order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_serve.http.refusal import Refusal

_HEADER_BYTES = 65_536
_MOST_CLASSES = 10_000
# Rows, height, width, colours.
_DIMS = 4


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output by name, whether its bytes are wanted, and how many of the best classes instead of all numbers."""

    name: str
    binary: bool = False
    classes: int = 0


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request whose one input is a batch of pictures, uint8 `[N, height, width, 3]`."""

    id: str
    pixels: NDArray[np.uint8]
    outputs: tuple[RequestedOutput, ...]


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """An output as it is answered; BYTES are lists of text."""

    name: str
    datatype: str
    values: NDArray[Any]
    binary: bool


def parse_request(
    body: bytes, header_length: str | None, *, input_name: str, shape: tuple[int, int, int], most_rows: int
) -> InferRequest:
    """The request in `body`.

    Raises Refusal: 400 where it breaks the protocol, 413 above `most_rows` pictures or the free memory.
    """
    try:
        return _parsed(body, header_length, input_name, shape, most_rows)
    except MemoryError:
        raise Refusal(413, "memory", "the request is too large for the free memory", "send fewer pictures") from None


def _parsed(
    body: bytes, header_length: str | None, input_name: str, shape: tuple[int, int, int], most_rows: int
) -> InferRequest:
    head, tail = _split(body, header_length)
    try:
        value = json.loads(head)
    # RecursionError: brackets nested a thousand deep. UnicodeDecodeError is a ValueError.
    except (ValueError, RecursionError):
        raise _wrong("the request is not JSON") from None
    if not isinstance(value, dict):
        raise _wrong("the request is not a JSON object")
    inputs = value.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise _wrong(f"exactly one input is needed, {input_name!r}")
    pixels = _pixels(inputs[0], tail, input_name, shape, most_rows)
    parameters = _object(value, "parameters")
    return InferRequest(
        id=_text(value, "id"),
        pixels=pixels,
        outputs=_outputs(value.get("outputs"), binary=parameters.get("binary_data_output") is True),
    )


def write_response(head: Mapping[str, Any], outputs: Sequence[OutputTensor]) -> tuple[bytes, int | None]:
    """The body of an answer and, where a part of it is binary, the length of its JSON header."""
    described, tail = [], []
    for output in outputs:
        shown: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": list(output.values.shape)}
        if output.binary:
            data = _binary(output)
            tail.append(data)
            shown["parameters"] = {"binary_data_size": len(data)}
        else:
            shown["data"] = output.values.ravel().tolist()
        described.append(shown)
    text = json.dumps({**head, "outputs": described}).encode()
    return b"".join([text, *tail]), len(text) if tail else None


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not (header_length.isascii() and header_length.isdigit()) or len(header_length) > 9:
        raise _wrong("Inference-Header-Content-Length is no length")
    length = int(header_length)
    if length > min(len(body), _HEADER_BYTES):
        raise _wrong("Inference-Header-Content-Length is longer than the request or than 64 KiB")
    return body[:length], body[length:]


def _pixels(
    given: Mapping[str, Any], tail: bytes, input_name: str, shape: tuple[int, int, int], most_rows: int
) -> NDArray[np.uint8]:
    wanted = f"UINT8 [N, {shape[0]}, {shape[1]}, {shape[2]}]"
    if given.get("name") != input_name:
        raise _wrong(f"the input is called {input_name!r}")
    dims: Any = given.get("shape")
    whole = isinstance(dims, list) and len(dims) == _DIMS and all(type(side) is int for side in dims)
    if given.get("datatype") != "UINT8" or not whole or tuple(dims[1:]) != shape or dims[0] < 1:
        raise _wrong(f"{input_name} is {wanted}")
    if dims[0] > most_rows:
        raise Refusal(413, "files", f"more than {most_rows} pictures", "send them in several requests")
    size = _object(given, "parameters").get("binary_data_size")
    count = math.prod(dims)
    if size is not None:
        if size != count or len(tail) != count:
            raise _wrong(f"{input_name} needs {count} bytes of binary data, no more and no fewer")
        return np.frombuffer(tail, np.uint8).reshape(dims)
    if tail:
        raise _wrong("there is binary data that no input claims")
    return _from_json(given.get("data"), count, input_name).reshape(dims)


def _from_json(data: object, count: int, input_name: str) -> NDArray[np.uint8]:
    """Numbers, flat or nested as deep as the shape.

    All of them are looked at before numpy is: of one text among many numbers it would make a text of each, as long.
    """
    numbers = data if isinstance(data, list) else []
    for _ in range(_DIMS - 1):
        if not all(type(row) is list and len(row) == len(numbers[0]) for row in numbers):
            break
        if sum(map(len, numbers)) > count:
            break
        numbers = list(chain.from_iterable(numbers))
    if len(numbers) != count:
        raise _wrong(f"{input_name} needs {count} numbers, no more and no fewer")
    if set(map(type, numbers)) != {int} or min(numbers) < 0 or max(numbers) > 255:
        raise _wrong(f"{input_name} holds whole numbers from 0 to 255")
    return np.array(numbers, np.uint8)


def _outputs(given: object, *, binary: bool) -> tuple[RequestedOutput, ...]:
    """The outputs asked for; none means all."""
    if given is None:
        given = []
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given) or len(given) > 8:
        raise _wrong("outputs is a list of objects, eight at most")
    found = []
    for each in given:
        parameters = _object(each, "parameters")
        classes = _given(parameters, "classification", 0)
        if type(classes) is not int or not 0 <= classes <= _MOST_CLASSES:
            raise _wrong("classification is a number of classes")
        found.append(RequestedOutput(_text(each, "name"), _given(parameters, "binary_data", binary) is True, classes))
    return tuple(found) or (RequestedOutput("", binary),)


def _binary(output: OutputTensor) -> bytes:
    if output.datatype != "BYTES":
        return output.values.astype("<f4").tobytes()
    texts = [str(text).encode() for text in output.values.ravel()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def _given(value: Mapping[str, Any], key: str, default: Any) -> Any:
    """What stands there; null is as good as nothing, since many programs write what they leave out so."""
    found = value.get(key)
    return default if found is None else found


def _text(value: Mapping[str, Any], key: str) -> str:
    text = _given(value, key, "")
    if not isinstance(text, str) or len(text) > 1000:
        raise _wrong(f"{key} is a short text")
    return text


def _object(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = _given(value, key, {})
    if not isinstance(found, dict):
        raise _wrong(f"{key} is an object")
    return found


def _wrong(message: str) -> Refusal:
    return Refusal(400, "protocol", message)
