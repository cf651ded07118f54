"""The file's own figures on the test split, which chose nothing of it, where the checkpoint's are not this file's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_export.export_job import ExportJob
from edge_export.proof.answers import Model
from edge_export.proof.decision import decision_of, score
from edge_runtime import DataError, Evaluation, LabelledBatch, ModelCard, Sample, evaluate_batches, measure_at


def with_test_figures(job: ExportJob, card: ModelCard, file: Callable[[], Model], what: str) -> ModelCard:
    """The card with the test figures of one run's file, where there is a test split and the checkpoint's do not hold.

    A file below fp32, and one that averages views, gives answers of its own. Of one whose threshold alone was chosen
    anew, the figures at it are. Images that are gone cost the figures, not the export. `file` opens the file.
    """
    known, point = card.metrics.get("test", {}), card.operating_point
    as_trained = card.precision == "fp32" and not card.tta and bool(job.card.metrics)
    threshold_alone = as_trained and bool(known) and point is not None and "at_threshold" not in known
    if not job.test or (as_trained and not threshold_alone):
        return card
    if (found := answer_test(job, file(), what)) is None:
        return card
    figures = dict(known)
    if not threshold_alone:
        measured = decision_of(card).measure(found.samples, found.probabilities)
        figures = measured.on_card()
        name, value = score(measured)
        told = "mAP" if name == "map" else name.replace("_", " ")
        job.progress.say(f"test {told} {value:.1%} (n {measured.n}), on images that neither trained nor chose it")
    if point is not None:
        figures["at_threshold"] = measure_at(point, card.labels, found.truth, found.probabilities).to_json()
    return replace(card, metrics={**card.metrics, "test": figures})


def answer_test(job: ExportJob, model: Model, what: str) -> Evaluation | None:
    """What a model answers to the job's test images; None where none can be read. Which those are is said."""
    try:
        found = answer_images(job, model, job.test, f"{what} on the test split")
    except DataError:
        job.progress.say(
            f"note: none of the {len(job.test)} test images can be read in {job.root}, so nothing is known of this "
            "file on them"
        )
        return None
    if found.unreadable:
        job.progress.say(f"note: {len(found.unreadable)} test images can no longer be read")
    return found


def answer_images(job: ExportJob, model: Model, samples: Sequence[Sample], what: str) -> Evaluation:
    """What a model answers to `samples` of the job; `what` names it on the progress bar. Raises DataError."""

    def answer(batch: LabelledBatch) -> NDArray[np.float32]:
        return model.answer(batch.pixels).probabilities

    job.progress.begin(what, len(samples))
    try:
        return evaluate_batches(
            answer, model.preprocessing, job.root, samples, labels=model.labels, on_image=job.progress.advance
        )
    finally:
        job.progress.end()
