"""What a model file is, found out before it is measured: whose it is, what it takes, and what it must compute."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edge_benchmarks.models.engines import images_at_once, random_feed
from edge_runtime import METADATA_KEY, Classifier, ModelCard, count_parameters, open_session

# What the nodes in front of the first convolution are called where an int8 export has rearranged the graph.
REARRANGED = "edge_front"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """An ONNX file. `card` is None where edge did not make it, `classes` where it is no classifier of images.

    `parameters` counts the weights it stores; `multiply_adds` is what one image takes in convolutions and matrix
    products, None where they could not be counted. `input_px` is the side of its images, or width × height, or the
    shapes it takes. `at_once` are the images that each run takes where the file fixes them, None where it does not.
    """

    path: Path
    sha256: str
    size_bytes: int
    card: ModelCard | None
    classes: int | None
    input_px: str
    parameters: int
    multiply_adds: int | None
    at_once: int | None = None


def inspect_model(path: Path) -> ModelFile:
    """Open the ONNX file at `path`, read what it says of itself, and run it once to count.

    Raises:
        UsageError: there is no such file.
        ModelError: it is damaged, or none that onnxruntime can run, or its card does not fit its graph.
    """
    session = open_session(path, threads=1)
    inputs = session.get_inputs()
    if METADATA_KEY in session.get_modelmeta().custom_metadata_map:
        card = Classifier(path, threads=1).card
        classes: int | None = len(card.labels)
        size = card.preprocessing
        input_px = _sides(size.width_px, size.height_px)
    else:
        card, classes = None, _classes(inputs, session.get_outputs())
        shapes = [[side if isinstance(side, int) else "n" for side in node.shape] for node in inputs]
        input_px = _foreign_sides(shapes)
    at_once = images_at_once(session)
    feed = random_feed(session, at_once or 1, str(path))
    multiply_adds = _count_multiply_adds(path, feed)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ModelFile(
        path=path,
        sha256=digest,
        size_bytes=path.stat().st_size,
        card=card,
        classes=classes,
        input_px=input_px,
        parameters=count_parameters(path),
        multiply_adds=None if multiply_adds is None else multiply_adds // (at_once or 1),
        at_once=at_once,
    )


def _sides(width: int, height: int) -> str:
    return str(width) if width == height else f"{width}×{height}"


def _foreign_sides(shapes: Sequence[Sequence[int | str]]) -> str:
    if len(shapes) == 1 and len(shapes[0]) == 4:
        _, *sides = shapes[0]
        height, width = sides[1:] if sides[0] == 3 else sides[:2]
        if isinstance(width, int) and isinstance(height, int):
            return _sides(width, height)
    return ", ".join("×".join(map(str, shape)) for shape in shapes)


def _classes(inputs: Sequence[Any], outputs: Sequence[Any]) -> int | None:
    """The classes of a graph from one image to one row of scores, None where it is something else."""
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in ("tensor(float)", "tensor(uint8)"):
        return None
    if 3 not in (inputs[0].shape[1], inputs[0].shape[3]):
        return None
    rows = [node.shape for node in outputs if len(node.shape) >= 2 and all(side == 1 for side in node.shape[2:])]
    return rows[0][1] if len(rows) == 1 and isinstance(rows[0][1], int) else None


def _count_multiply_adds(path: Path, feed: Mapping[str, Any]) -> int | None:
    """What the network computes, from the shapes that onnxruntime's profiler notes while the graph runs as written."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.enable_profiling = True
    # As written: fused and reordered for this processor, shapes would be padded ones.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Weights that were packed for a kernel have no shape any more.
    options.add_session_config_entry("session.disable_prepacking", "1")
    with TemporaryDirectory(prefix="edge-profile-") as folder:
        options.profile_file_prefix = str(Path(folder) / "run")
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            session.run(None, dict(feed))
        except Exception:  # onnxruntime's own exceptions share no base class
            # A graph that needs its optimisation to run at all, or other inputs: there is no figure then.
            return None
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    ran = [event for event in events if event["name"].endswith("_kernel_time")]
    rearranged = any(event["name"].startswith(REARRANGED) for event in ran)
    try:
        return sum(_multiply_adds(event["args"], rearranged=rearranged) for event in ran)
    except LookupError:
        # A kernel of this processor's that notes less than the others do.
        return None


def _multiply_adds(node: Mapping[str, Any], *, rearranged: bool = False) -> int:
    """Multiplications, each with its addition, of one node the profiler saw; 0 for what is not a product.

    A `rearranged` graph may have a stem that takes four pixels at a time for int8 kernels' sake: most of its weights
    are zeros that the network has not. Such a stem has a square kernel over three channels.
    """
    operator = node["op_name"]
    inputs: list[list[int]] = [shape for entry in node["input_type_shape"] for shape in entry.values()]
    outputs: list[list[int]] = [shape for entry in node["output_type_shape"] for shape in entry.values()]
    if operator in ("Conv", "ConvInteger"):
        taps = 3 * inputs[1][2] ** 2 if rearranged and _is_by_fours(inputs, outputs) else math.prod(inputs[1][1:])
        return math.prod(outputs[0]) * taps
    if operator == "QLinearConv":
        return math.prod(outputs[0]) * math.prod(inputs[3][1:])
    if operator == "ConvTranspose":
        return math.prod(inputs[0]) * math.prod(inputs[1][1:])
    if operator == "Gemm":
        # The first factor may be stored transposed; its elements over the product's rows are what is summed over.
        return math.prod(inputs[0]) * outputs[0][1]
    if operator in ("MatMul", "MatMulInteger", "QLinearMatMul"):
        return math.prod(outputs[0]) * inputs[0][-1]
    return 0


def _is_by_fours(inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]) -> bool:
    """Whether a convolution reads the three channels of four neighbours as twelve, and halves the rows alone."""
    (_, channels, rows, columns), (_, _, rows_out, columns_out) = inputs[0], outputs[0]
    return channels == inputs[1][1] == 12 and columns_out == columns and rows_out * 2 == rows
