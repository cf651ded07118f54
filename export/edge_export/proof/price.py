"""What averaging several views costs: the file timed by turns with one that sees a single view."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import nn

from edge_export.formats.onnx_file import write_onnx
from edge_export.precision.auto import time_by_turns
from edge_runtime import Classifier, ModelCard, Plan

PLAN = Plan(duration_s=0.3, rounds=6, least_runs=12, most_durations=3)


def latency_ratio(path: Path, network: nn.Module, card: ModelCard) -> float:
    """How many times as long the file at `path` takes for one picture as `network` alone does, here; both fp32.

    `card` is the one that the network alone would have.
    """
    with tempfile.TemporaryDirectory(prefix="edge-export-") as folder:
        alone = Path(folder) / "one-view.onnx"
        write_onnx(network, card, alone)
        slow, fast = time_by_turns([_call(path), _call(alone)], PLAN)
    return slow.p50_ms / fast.p50_ms


def _call(path: Path) -> Callable[[], object]:
    classifier = Classifier(path)
    contract = classifier.preprocessing
    pixels = np.zeros((1, contract.height_px, contract.width_px, 3), np.uint8)
    return lambda: classifier.probabilities(pixels)
