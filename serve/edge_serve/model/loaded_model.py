"""A model file, open and tried, ready to serve."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from edge_runtime import SMALL_MODEL_BYTES, Classifier, ImageClassifier, ModelError, identify_file, usable_cores
from edge_serve.model.batching import BatchChoice, choose_batching
from edge_serve.settings import ServeSettings


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """One model in two forms, and how it is to be run.

    `wide` answers one picture with all threads, as soon as possible; with `narrow` each of several threads answers a
    picture of its own, which gives more pictures a second. Of a large file there is one copy, and both are the same.
    `signed_by` is the fingerprint of the key that signed the file, "" where no signature was required.
    """

    wide: ImageClassifier
    narrow: ImageClassifier
    threads: int
    choice: BatchChoice
    file: tuple[int, ...]
    loaded: str
    signed_by: str = ""


def load_model(settings: ServeSettings, *, known: BatchChoice | None = None) -> LoadedModel:
    """Open the file, run it once, and measure how it is run best, unless that is `known` or was said.

    Raises UsageError or ModelError where the file cannot serve, also when it changes meanwhile.
    """
    path = settings.model
    before = identify_file(path)
    threads, keys = settings.threads or usable_cores(), settings.require_signature
    wide = Classifier(path, threads=threads, require_signature=keys)
    small = before is None or before[0] <= SMALL_MODEL_BYTES
    narrow = Classifier(path, threads=1, require_signature=keys) if small and threads > 1 else wide
    contract = wide.preprocessing
    grey = np.full((1, contract.height_px, contract.width_px, 3), 127, np.uint8)
    for classifier in (wide, narrow) if narrow is not wide else (wide,):
        # A file may open and still fail on its input.
        total = float(classifier.probabilities(grey).sum())
        if not 0.99 < total < 1.01:
            raise ModelError(f"{path} gives probabilities that sum to {total:.3f}", "export it again")
    if before is None or identify_file(path) != before:
        raise ModelError(f"{path} changed while it was read", "replace it by renaming the new file over it")
    choice = known or choose_batching(settings, wide, narrow, threads)
    loaded = datetime.now(UTC).isoformat(timespec="seconds")
    return LoadedModel(wide, narrow, threads, choice, before, loaded, wide.signed_by)
