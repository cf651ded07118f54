"""Whether an int8 file's kernels answer here as its graph does in exact arithmetic: then every processor's do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_export.precision.int8_scales import WEIGHT_BITS
from edge_export.precision.split_figure import LabelledImages
from edge_export.proof.decision import decision_of
from edge_runtime import Classifier, Drift, ParityError, Progress, int8_arithmetic


def measure_drift(
    path: Path, images: LabelledImages, *, threads: int | None, progress: Progress, what: str, total: int
) -> Drift:
    """Answer all images twice, by kernels and exactly; `total` is their number, for the progress bar, and 1 or more.

    Raises ModelError where the file cannot be run.
    """
    kernels, graph = (Classifier(path, threads=threads, exact=exact) for exact in (False, True))
    found, exactly, truth = [], [], []
    progress.begin(f"{what} in exact arithmetic", total)
    for pixels, labels in images():
        found.append(kernels.probabilities(pixels))
        exactly.append(graph.probabilities(pixels))
        truth.append(labels)
        progress.advance(len(pixels))
    progress.end()
    decision = decision_of(kernels.card)
    return decision.drift(np.concatenate(truth), np.concatenate(found), np.concatenate(exactly))


def require_exact(drift: Drift, what: str) -> None:
    """Raise ParityError where the kernels and the graph are too far apart for one file on all processors."""
    if not drift.holds:
        raise ParityError(
            f"{what} answers otherwise than its own graph in exact arithmetic, so other processors may, too: {drift}",
            "`precision` fp32; and please report this with what edge doctor prints",
        )


def arithmetic_json(drift: Drift) -> dict[str, Any]:
    """What the model card says of a file's arithmetic: `quantization.arithmetic` in docs/model-format.md."""
    return {"weight_bits": WEIGHT_BITS, "measured_on": int8_arithmetic(), "exact": drift.to_json()}
