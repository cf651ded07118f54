"""What a model file says of the pictures that are still to be labelled."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime import Classifier, ImageError, Progress, UsageError
from edge_serve.labelling.label_session import Figures
from edge_serve.labelling.orders import most_valuable

_BATCH = 16


class Opinion(NamedTuple):
    """The model's labels, its figures by row, and the rows in the order BADGE gives; None without an embedding."""

    labels: tuple[str, ...]
    figures: dict[int, Figures]
    valuable: list[int] | None


def ask_model(
    model: Path, places: Sequence[tuple[int, str]], progress: Progress, *, threads: int | None, embed: bool
) -> Opinion:
    """Run the file on each (row, path); pictures that cannot be read are left out.

    Raises ModelError where the file cannot be used, UsageError where it must `embed` and has no embedding, or answers
    with several labels.
    """
    classifier = Classifier(model, threads=threads)
    if (kind := classifier.card.kind) != "single-label":
        raise UsageError(f"{model} is a {kind} model: edge label gives each picture one label", "name another `model`")
    if embed and not classifier.embedding_size:
        raise UsageError(f"{model} gives no embedding", "export it again with edge export --with-embedding")
    rows: list[int] = []
    probabilities: list[NDArray[np.float32]] = []
    embeddings: list[NDArray[np.float32]] = []

    def read(place: str) -> NDArray[np.uint8] | None:
        try:
            return classifier.preprocessing(place)
        except ImageError:
            return None

    progress.begin("asking the model", len(places))
    with ThreadPoolExecutor(classifier.threads) as pool:
        for start in range(0, len(places), _BATCH):
            batch = places[start : start + _BATCH]
            read_here = list(pool.map(read, (place for _, place in batch)))
            there = [(row, pixels) for (row, _), pixels in zip(batch, read_here, strict=True) if pixels is not None]
            if there:
                stack = np.stack([pixels for _, pixels in there])
                rows += [row for row, _ in there]
                probabilities.append(classifier.probabilities(stack))
                if classifier.embedding_size:
                    embeddings.append(classifier.embeddings(stack))
            progress.advance(len(batch))
    progress.end()
    if not rows:
        return Opinion(classifier.labels, {}, [] if embed else None)
    whole = np.concatenate(probabilities)
    valuable = most_valuable(whole, np.concatenate(embeddings), rows) if embeddings else None
    figures = {row: _figures(classifier.labels, answer) for row, answer in zip(rows, whole, strict=True)}
    return Opinion(classifier.labels, figures, valuable)


def _figures(labels: Sequence[str], probabilities: NDArray[np.float32]) -> Figures:
    best, second = np.sort(probabilities)[::-1][:2] if len(probabilities) > 1 else (probabilities[0], 0.0)
    there = probabilities[probabilities > 0]
    return Figures(
        labels[int(probabilities.argmax())],
        float(best),
        float(best - second),
        float(-np.sum(there * np.log(there))),
    )
