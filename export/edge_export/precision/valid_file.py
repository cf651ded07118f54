"""What every ONNX file of ours promises, kept after a tool has rewritten its graph."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import onnx

from edge_export.formats.onnx_file import IR_VERSION
from edge_runtime import METADATA_KEY, EdgeError, ModelError


def keep_promises(model: onnx.ModelProto, source: onnx.ModelProto) -> None:
    """Give `model` the metadata of `source`, IR 10 at most and no operator set that no node uses; then check it.

    Its nodes are put into an order in which each comes after those it reads from, as ONNX wants.

    Raises:
        onnx.checker.ValidationError: the model is not valid ONNX.
    """
    from onnxruntime.quantization.onnx_model import ONNXModel

    ONNXModel(model).topological_sort()
    model.ir_version = min(model.ir_version, IR_VERSION)
    model.producer_name, model.producer_version = "edge", source.producer_version
    card = [entry.value for entry in source.metadata_props if entry.key == METADATA_KEY]
    del model.metadata_props[:]
    for value in card:
        model.metadata_props.add(key=METADATA_KEY, value=value)
    used = {node.domain for node in model.graph.node}
    for entry in [entry for entry in model.opset_import if entry.domain and entry.domain not in used]:
        model.opset_import.remove(entry)
    # The shapes are those of the graph before, and cost a tenth of a small file.
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)


@contextlib.contextmanager
def own_words(path: Path, precision: str) -> Iterator[None]:
    """Inside the block, what onnx and onnxruntime raise becomes a ModelError: `path` cannot be made `precision`.

    What they log is for who debugs them, and goes nowhere.
    """
    try:
        with _unlogged("onnxruntime.quantization"):
            yield
    except (EdgeError, OSError, MemoryError):
        raise
    except Exception as error:  # onnx's, onnxruntime's and the quantizer's exceptions share no base class
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"{path} cannot be made {precision}: {reason}", "export it with `precision` fp32") from error


@contextlib.contextmanager
def _unlogged(package: str) -> Iterator[None]:
    """Inside the block, records of `package` and of its modules reach no handler, by whichever logger."""
    folder = package.replace(".", "/")

    def is_other(record: logging.LogRecord) -> bool:
        return folder not in Path(record.pathname).as_posix()

    root, own, nowhere = logging.getLogger(), logging.getLogger(package), logging.NullHandler()
    passed_on = own.propagate
    # Without any handler `logging.warning` would give the root one for good.
    root.addHandler(nowhere)
    root.addFilter(is_other)
    own.addHandler(nowhere)
    own.propagate = False
    try:
        yield
    finally:
        own.propagate = passed_on
        own.removeHandler(nowhere)
        root.removeFilter(is_other)
        root.removeHandler(nowhere)
