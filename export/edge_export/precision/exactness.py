"""Whether an int8 file's kernels answer here as its graph does in exact arithmetic: then every processor's do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_export.precision.int8_scales import WEIGHT_BITS
from edge_export.precision.split_figure import LabelledImages
from edge_export.proof.decision import decision_of
from edge_runtime import Classifier, Drift, ModelCard, ParityError, Progress, int8_arithmetic


@dataclass(frozen=True, slots=True, eq=False)
class BothAnswers:
    """What is `true` of images, and how a file's kernels and its graph answered them, float32 `[N, classes]`."""

    card: ModelCard
    true: NDArray[Any]
    kernels: NDArray[np.float32]
    graph: NDArray[np.float32]

    @property
    def drift(self) -> Drift:
        """How far they are apart, by the most probable label: a threshold is chosen on what the finished file says."""
        return self._by(replace(self.card, operating_point=None))

    def at_threshold(self, card: ModelCard, what: str, progress: Progress) -> ModelCard:
        """The card of the finished file with the drift at its threshold; as it is where it has none.

        Raises DriftAtThresholdError where the answers at the threshold are too far apart.
        """
        if card.operating_point is None:
            return card
        drift = self._by(card)
        progress.say(f"{what} at its threshold: {drift}")
        require_exact(drift, what, DriftAtThresholdError)
        arithmetic = {**card.quantization["arithmetic"], "exact": drift.to_json()}
        return replace(card, quantization={**card.quantization, "arithmetic": arithmetic})

    def _by(self, card: ModelCard) -> Drift:
        return decision_of(card).drift(self.true, self.kernels, self.graph)


def answer_both(
    path: Path, images: LabelledImages, *, threads: int | None, progress: Progress, what: str, total: int
) -> BothAnswers:
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
    return BothAnswers(kernels.card, np.concatenate(truth), np.concatenate(found), np.concatenate(exactly))


class DriftAtThresholdError(ParityError):
    """The answers at the finished file's threshold are too far apart, though its first labels agree."""


def require_exact(drift: Drift, what: str, error: type[ParityError] = ParityError) -> None:
    """Raise `error` where the kernels and the graph are too far apart for one file on all processors."""
    if not drift.holds:
        raise error(
            f"{what} answers otherwise than its own graph in exact arithmetic, so other processors may, too: {drift}",
            "`precision` fp32; and please report this with what edge doctor prints",
        )


def arithmetic_json(drift: Drift) -> dict[str, Any]:
    """What the model card says of a file's arithmetic: `quantization.arithmetic` in docs/model-format.md."""
    return {"weight_bits": WEIGHT_BITS, "measured_on": int8_arithmetic(), "exact": drift.to_json()}
