"""A model file, open and tried, ready to serve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime import (
    SMALL_MODEL_BYTES,
    Classifier,
    ImageClassifier,
    ModelCard,
    ModelError,
    Prediction,
    RuntimeEngine,
    answers_of,
    identify_file,
    task_slices,
    usable_cores,
)
from edge_serve.model.batching import BatchChoice, choose_batching
from edge_serve.model.distances import Runs, WithDistance
from edge_serve.settings import ServeSettings


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """One model in two forms, and how it is to be run.

    `wide` answers one picture with all threads, as soon as possible; with `narrow` each of several threads answers a
    picture of its own, which gives more pictures a second. Of a large file there is one copy, and both are the same.
    `run_wide` and `run_narrow` are they, or, where drift is recorded, they with each picture's distance.
    `answer` makes the answer for a picture of a name and its row of probabilities.
    `signed_by` is the fingerprint of the key that signed the file, "" where no signature was required.
    `engine` is what runs it.
    """

    wide: ImageClassifier
    narrow: ImageClassifier
    run_wide: Runs
    run_narrow: Runs
    threads: int
    choice: BatchChoice
    answer: Callable[[str, NDArray[np.float32]], Prediction]
    file: tuple[int, ...]
    loaded: str
    signed_by: str = ""
    engine: RuntimeEngine = "onnxruntime"


def load_model(settings: ServeSettings, *, known: BatchChoice | None = None) -> LoadedModel:
    """Open the file, run it once, and measure how it is run best, unless that is `known` or was said.

    Raises UsageError or ModelError where the file cannot serve, also when it changes meanwhile.
    """
    path = settings.path
    before = identify_file(path)
    threads, keys = settings.threads or usable_cores(), settings.require_signature
    wide = Classifier(path, threads=threads, require_signature=keys, engine=settings.engine)
    small = before is None or before[0] <= SMALL_MODEL_BYTES
    narrow = wide
    if small and threads > 1:
        # The same as the wide one's: one file is not to give two answers.
        narrow = Classifier(path, threads=1, require_signature=keys, engine=wide.engine)
    contract = wide.preprocessing
    grey = np.full((1, contract.height_px, contract.width_px, 3), 127, np.uint8)
    for classifier in (wide, narrow) if narrow is not wide else (wide,):
        # A file may open and still fail on its input.
        _check_probabilities(path, wide.card, classifier.probabilities(grey)[0])
    if before is None or identify_file(path) != before:
        raise ModelError(f"{path} changed while it was read", "replace it by renaming the new file over it")
    choice = known or choose_batching(settings, wide, narrow, threads)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    far = settings.drift is not None and wide.card.unlike is not None
    run_wide, run_narrow = (WithDistance(each) if far else each for each in (wide, narrow))
    answer = answers_of(wide.card)
    return LoadedModel(
        wide, narrow, run_wide, run_narrow, threads, choice, answer, before, now, wide.signed_by, wide.engine
    )


def _check_probabilities(path: Path, card: ModelCard, row: NDArray[np.float32]) -> None:
    """Raise ModelError where they are none: those of one answer sum to 1, those of several labels lie in 0..1."""
    if card.kind == "multi-label":
        if row.min() < 0 or row.max() > 1:
            raise ModelError(f"{path} gives probabilities from {row.min():.3f} to {row.max():.3f}", "export it again")
        return
    for part in [own for _, own in task_slices(card.tasks)] or [slice(None)]:
        total = float(row[part].sum())
        if not 0.99 < total < 1.01:
            raise ModelError(f"{path} gives probabilities that sum to {total:.3f}", "export it again")
