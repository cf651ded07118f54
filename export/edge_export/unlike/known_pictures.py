"""What the known pictures look like to a file: centres of training's, and how far validation's lie from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_export.export_job import ExportJob
from edge_export.proof.decision import MAX_DIFFERENCE
from edge_export.proof.sample_images import spread
from edge_export.unlike.centres import count_centres, find_centres
from edge_export.unlike.distance_output import add_distance
from edge_runtime import (
    DISTANCE_NAME,
    INPUT_NAME,
    OUTPUT_NAME,
    Classifier,
    DataError,
    ModelCard,
    ParityError,
    Sample,
    UnlikeScale,
    open_session,
    read_batches,
)

# Centres do not get better with more, and each has to go through the network.
MOST_TRAINING_IMAGES = 2000


def store_known_pictures(job: ExportJob, path: Path, card: ModelCard, answers: NDArray[np.float32]) -> ModelCard:
    """Give the proven file at `path` its `distance`, and the card the scale that goes with it.

    `answers` are what the file answered to the validation images before; the scale is measured on those, by the file's
    own distances, in its own precision.

    Raises:
        DataError: no training image can be read.
        ParityError: the file answers differently for it.
    """
    training = spread(job.training, MOST_TRAINING_IMAGES)
    embeddings = _run(job, training, Classifier(path).embeddings, "training images' embeddings")
    if not len(embeddings):
        raise DataError(f"no training image can be read in {job.root}", "name the folder they are in now with `data`")
    centres = find_centres(embeddings, count_centres(len(card.labels)))
    add_distance(path, centres, keep_embedding=job.settings.with_embedding)
    both = _run(job, job.split.samples, _answers_and_distances(path), "validation images' distances")
    apart = float(np.abs(both[:, :-1] - answers).max()) if len(both) == len(answers) else 1.0
    if apart > MAX_DIFFERENCE:
        raise ParityError(
            f"with the output `distance` the file's probabilities are {apart:.2g} apart from those before",
            "nothing was written; please report this with the versions that edge doctor prints",
        )
    scale = UnlikeScale.of(both[:, -1], centres=len(centres), training_images=len(embeddings))
    return replace(card, unlike=scale, embedding_size=card.embedding_size if job.settings.with_embedding else 0)


def _answers_and_distances(path: Path) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    # A classifier would look for the scale, which is still to be measured.
    session = open_session(path)

    def answer(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities and, in the last column, distances."""
        probabilities, distances = session.run([OUTPUT_NAME, DISTANCE_NAME], {INPUT_NAME: pixels})
        return np.concatenate([probabilities, distances[:, np.newaxis]], axis=1)

    return answer


def _run(
    job: ExportJob,
    samples: Sequence[Sample],
    answer: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    what: str,
) -> NDArray[np.float32]:
    """What `answer` gives for the samples that can be read, a row for each."""
    job.progress.begin(what, len(samples))
    rows = []
    for batch in read_batches(job.card.preprocessing, job.root, samples):
        if len(batch.samples):
            rows.append(answer(batch.pixels))
        job.progress.advance(len(batch.samples) + len(batch.unreadable))
    job.progress.end()
    return np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)
