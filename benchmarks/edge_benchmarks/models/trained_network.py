"""The network of a run as a file that does not say what it learned to tell apart: for what it costs alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from edge_benchmarks.models.contestant import Contestant, variant_of
from edge_runtime import ModelCard, Run, require_extra

if TYPE_CHECKING:
    from edge_train import Checkpoint


def export_trained(run: Run, folder: Path) -> Contestant:
    """Export the network of the run's best.pt into `folder`, in fp32, with all that is its own: stem, head, channels.

    Raises:
        CheckpointError: best.pt is missing or damaged.
        MissingExtraError: what exports is not installed.
        EdgeError: the network cannot be exported.
    """
    require_extra("export")
    from edge_export import write_onnx
    from edge_train import DeployedNetwork, load_checkpoint

    checkpoint = load_checkpoint(run.best)
    card = _anonymous(checkpoint)
    own = ", ".join(variant_of(card.architecture))
    size_px = card.preprocessing.height_px
    name = re.sub(r"[^\w.]+", "-", own)
    path = folder / f"{checkpoint.backbone.file_name}-{size_px}px{f'-{name}' if name else ''}.onnx"
    write_onnx(DeployedNetwork(checkpoint.build()), card, path)
    return Contestant(f"{card.backbone}{f', {own},' if own else ''} {size_px} px", path, fresh=True, passing=True)


def _anonymous(checkpoint: Checkpoint) -> ModelCard:
    own = checkpoint.card
    return ModelCard(
        labels=tuple(f"class {index}" for index in range(len(own.labels))),
        preprocessing=own.preprocessing,
        backbone=own.backbone,
        strategy=own.strategy,
        normalization=own.normalization,
        architecture=own.architecture,
    )
