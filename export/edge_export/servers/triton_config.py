"""config.pbtxt of Triton Inference Server: what it must know of a model, as protobuf text (model_config.proto)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from edge_export.servers.throughput import Throughput
from edge_runtime import EMBEDDING_NAME, INPUT_NAME, ModelCard

MADE_BY = "# edge export --format triton"
FILE_INPUT = "file"
# How long a picture may wait for others, where batches pay.
_WAIT_US = 5_000
_LEAST_BATCH = 8


class Output(NamedTuple):
    """An output of the network: its name, its length, and the file in which its labels lie, "" without labels."""

    name: str
    length: int
    labels: str


def outputs_of(card: ModelCard) -> list[Output]:
    """What a model of that card answers."""
    lengths = [len(task.labels) for task in card.tasks] or [len(card.labels)]
    files = [f"labels_{task.name}.txt" for task in card.tasks] or ["labels.txt"]
    found = [Output(*each) for each in zip(card.outputs, lengths, files, strict=True)]
    return [*found, Output(EMBEDDING_NAME, card.embedding_size, "")] if card.embedding_size else found


def network_config(name: str, card: ModelCard, measured: Throughput) -> str:
    """The network itself: pixels in, probabilities out, under the tensor names that `edge serve` has at /v2."""
    way = measured.best
    contract = card.preprocessing
    lines = [
        MADE_BY,
        "# Measured where it was exported, on its processor alone; on another server, export it there:",
        *(f"#   {line}" for line in measured.describe()),
        f"name: {quoted(name)}",
        'backend: "onnxruntime"',
        f"max_batch_size: {largest_batch(measured)}",
        f"input [ {_tensor(INPUT_NAME, 'TYPE_UINT8', (contract.height_px, contract.width_px, 3))} ]",
        *_outputs(outputs_of(card)),
        f"instance_group [ {{ count: {way.copies} kind: KIND_CPU }} ]",
        _parameter("intra_op_thread_count", str(way.threads)),
        *_threshold(card),
    ]
    if way.batch > 1:
        lines.append(
            f"dynamic_batching {{ preferred_batch_size: [ {way.batch} ] max_queue_delay_microseconds: {_WAIT_US} }}"
        )
    return _text(lines)


def largest_batch(measured: Throughput) -> int:
    """How many images a request may have."""
    return max(measured.best.batch, _LEAST_BATCH)


def input_config(name: str, card: ModelCard, contract: str, measured: Throughput) -> str:
    """What makes pixels of picture files, in Triton's Python backend; `contract` is the preprocessing as JSON."""
    steps = card.preprocessing
    return _text(
        [
            MADE_BY,
            f"name: {quoted(name)}",
            'backend: "python"',
            f"max_batch_size: {largest_batch(measured)}",
            f"input [ {_tensor(FILE_INPUT, 'TYPE_STRING', (1,))} ]",
            f"output [ {_tensor(INPUT_NAME, 'TYPE_UINT8', (steps.height_px, steps.width_px, 3))} ]",
            f"instance_group [ {{ count: {measured.best.copies * measured.best.threads} kind: KIND_CPU }} ]",
            _parameter("preprocessing", contract),
        ]
    )


def pictures_config(name: str, first: str, network: str, card: ModelCard, measured: Throughput) -> str:
    """Both in a row: picture files in, probabilities out."""
    outputs = outputs_of(card)
    given = " ".join(f"output_map {{ key: {quoted(each.name)} value: {quoted(each.name)} }}" for each in outputs)
    return _text(
        [
            MADE_BY,
            f"name: {quoted(name)}",
            'platform: "ensemble"',
            f"max_batch_size: {largest_batch(measured)}",
            f"input [ {_tensor(FILE_INPUT, 'TYPE_STRING', (1,))} ]",
            *_outputs(outputs),
            *_threshold(card),
            "ensemble_scheduling {",
            f"  step {{ model_name: {quoted(first)} model_version: -1 {_map(FILE_INPUT, 'input')} "
            f"{_map(INPUT_NAME, 'output')} }}",
            f"  step {{ model_name: {quoted(network)} model_version: -1 {_map(INPUT_NAME, 'input')} {given} }}",
            "}",
        ]
    )


def is_ours(config: Path) -> bool:
    """Whether `edge export` wrote the file."""
    try:
        return config.read_text(encoding="utf-8").startswith(MADE_BY)
    except (OSError, UnicodeDecodeError):
        return False


def quoted(text: str) -> str:
    """A string of protobuf's text format."""
    escaped = "".join(_escaped(char) for char in text)
    return f'"{escaped}"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    # Any reader of the format knows octal bytes; not all know other escapes.
    return char if char.isascii() and char.isprintable() else "".join(f"\\{byte:03o}" for byte in char.encode())


def _map(tensor: str, side: str) -> str:
    return f"{side}_map {{ key: {quoted(tensor)} value: {quoted(tensor)} }}"


def _tensor(name: str, kind: str, shape: Sequence[int], labels: str = "") -> str:
    sides = ", ".join(map(str, shape))
    named = f" label_filename: {quoted(labels)}" if labels else ""
    return f"{{ name: {quoted(name)} data_type: {kind} dims: [ {sides} ]{named} }}"


def _outputs(outputs: Iterable[Output]) -> list[str]:
    return [f"output [ {_tensor(each.name, 'TYPE_FP32', (each.length,), each.labels)} ]" for each in outputs]


def _threshold(card: ModelCard) -> list[str]:
    """What decides between two labels, or which of several are given, which no server knows of: for its clients."""
    point = card.operating_point
    if card.thresholds:
        return [_parameter("edge_thresholds", json.dumps(list(card.thresholds)))]
    if point is None:
        return []
    return [_parameter("edge_positive", point.positive), _parameter("edge_threshold", repr(point.threshold))]


def _parameter(key: str, value: str) -> str:
    return f"parameters {{ key: {quoted(key)} value: {{ string_value: {quoted(value)} }} }}"


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
