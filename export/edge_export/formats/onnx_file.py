"""The network as one ONNX file that a bare onnxruntime can run."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch import nn

from edge_export.formats.untraceable import in_one_line
from edge_runtime import EMBEDDING_NAME, INPUT_NAME, METADATA_KEY, ModelCard, ModelError, with_metadata
from edge_train import with_folded_norms, without_overwriting

OPSET = 18
IR_VERSION = 10

# A batch of one would be baked into the graph as a constant (pytorch issue 157621).
SAMPLE_BATCH = 2


def write_onnx(network: nn.Module, card: ModelCard, path: Path) -> None:
    """Write `network` with `card` in its metadata to `path`: opset 18, IR 10, weights inside, dynamic batch.

    The graph takes `image`, uint8 `[batch, height, width, 3]`, and gives `probabilities`, float32
    `[batch, classes]`, or such an output for each task; where the card has an `embedding_size`, the network gives that
    output, too. It passes onnx's full check before this returns. Raises ModelError where torch cannot export it.
    """
    size = (SAMPLE_BATCH, card.preprocessing.height_px, card.preprocessing.width_px, 3)
    sample = torch.zeros(size, dtype=torch.uint8)
    quiet = _quiet("torch.onnx", "onnxscript", "onnx_ir")
    with warnings.catch_warnings(), quiet, _uncollected(), in_one_line(card, "ONNX"):
        # The exporter's own notices about itself: nothing a user could act on.
        warnings.simplefilter("ignore")
        # The exporter folds batch norm, too, but traces it before; what overwrites nothing it traces in half the time.
        program = torch.onnx.export(
            without_overwriting(with_folded_norms(network)),
            (sample,),
            input_names=[INPUT_NAME],
            output_names=[*card.outputs, EMBEDDING_NAME] if card.embedding_size else list(card.outputs),
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    if not model.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
        raise ModelError(
            f"torch cannot make ONNX of {card.backbone} for any number of images: its forward fixes the batch",
            "take the number from images.shape[0] (len(images) is a constant to torch), or leave it to -1 in a reshape",
        )
    model.ir_version = IR_VERSION
    model.producer_name = "edge"
    model.producer_version = card.versions.get("edge-vision", "")
    # The exporter leaves notes on every node (its stack, its Python names): a fifth of a small file.
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    model.metadata_props.add(key=METADATA_KEY, value=card.dumps())
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(path))


def replace_card(path: Path, card: ModelCard) -> None:
    """Put `card` into the metadata of the file at `path`; every other byte stays as it is."""
    path.write_bytes(with_metadata(path.read_bytes(), {METADATA_KEY: card.dumps()}, where=path))


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection inside the block: tracing makes millions of objects, and few circles of them."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Loggers that say nothing below an error inside the block."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
