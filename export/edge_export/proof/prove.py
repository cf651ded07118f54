"""The proof a file carries: parity on chosen pictures, and the whole validation split's accuracy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edge_export.export_job import ExportJob
from edge_export.proof.answers import Model
from edge_export.proof.carried_threshold import carry_over
from edge_export.proof.decision import MAX_DIFFERENCE, decision_of
from edge_export.proof.parity import Parity, check_parity
from edge_export.proof.whole_split import SplitAccuracy, compare_split
from edge_runtime import ModelCard, OperatingPoint, choose_operating_point, measure_at
from edge_train import LabelAnswers, MultiTask, SplitAnswers, measure_parts


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found when a file was compared with its checkpoint."""

    parity: Parity
    validation: SplitAccuracy

    def onto(self, card: ModelCard, fp32: Proof | None = None) -> ModelCard:
        """The card with the proof on it, and the file's own figures where the checkpoint's are not this file's.

        `fp32` is the proof of the file that one of lower precision was made of.
        """
        shown = self.validation.shown
        proven = replace(card, parity={**self.parity.to_json(), shown: self.validation.to_json()})
        if shown != "validation":
            marked = _measured_as_fp32(proven)
            return marked if fp32 is None else self._with_carried_threshold(marked, fp32)
        if card.precision == "fp32" and not card.tta and "val" in card.metrics:
            measured = proven.metrics["val"]
            if card.operating_point is None or "at_threshold" in measured:
                return proven
        else:
            measured = _own_figures(card, self.validation)
            proven = replace(proven, metrics={"val": measured})
        return proven if card.operating_point is None else self._with_threshold(proven, card.operating_point)

    def _with_threshold(self, card: ModelCard, asked: OperatingPoint) -> ModelCard:
        """The card with a threshold chosen for this file's own answers, which are not the checkpoint's."""
        found = self.validation.found
        assert found is not None, "the split was classified"
        given = (found.truth, found.probabilities)
        point = choose_operating_point(card.labels, asked.positive, asked.min_sensitivity, *given)
        shown = measure_at(point, card.labels, *given).to_json()
        metrics = {**card.metrics, "val": {**card.metrics["val"], "at_threshold": shown}}
        return replace(card, operating_point=point, metrics=metrics)

    def _with_carried_threshold(self, card: ModelCard, fp32: Proof) -> ModelCard:
        """The card with fp32's threshold carried over: no image is left to choose one of its own on.

        It is where as many of the images shown, which the model learned from, are called positive as in fp32.
        """
        before, after, point = fp32.validation.found, self.validation.found, card.operating_point
        if card.precision == "fp32" or point is None or before is None or after is None:
            return card
        place = card.labels.index(point.positive)
        threshold = carry_over(point.threshold, before.probabilities[:, place], after.probabilities[:, place])
        return replace(
            card,
            operating_point=replace(point, threshold=threshold),
            quantization={**card.quantization, "fp32_threshold": point.threshold},
        )


def _own_figures(card: ModelCard, found: SplitAccuracy) -> dict[str, Any]:
    """What a file's own answers on validation come to, for its card.

    Of one run, the epoch and the temperature were chosen on these images: so the figures that judge the probabilities
    are cross-fitted, as the checkpoint's are, and what the choice of the epoch flatters is told of the file, too. Those
    of an average of runs are in `ensemble_figures`.
    """
    each = found.recorded.get("tasks", {"": found.recorded}).values()
    if found.found is None or not any("calibration_folds" in figures for figures in each):
        return found.whole.on_card()
    # The logarithm of a probability is a logit, at temperature 1.
    logits = np.log(np.maximum(found.found.probabilities, np.finfo(np.float32).tiny))
    if card.kind == "multi-task":
        tasks = [replace(task, temperature=1.0) for task in card.tasks]
        parts = MultiTask(card).answers(found.found.samples, logits, found.groups)
        return measure_parts(tasks, parts, cross_fit=True).on_card()
    if card.kind == "multi-label":
        # A yes or no has two of them, of which the odds are known alone.
        odds = logits - np.log(np.maximum(1 - found.found.probabilities, np.finfo(np.float32).tiny))
        truth = decision_of(card).truth(found.found.samples)
        labelled = LabelAnswers(found.found.samples, odds, truth, found.groups)
        return labelled.measure(card.labels, card.thresholds, 1.0, cross_fit=True).on_card()
    answers = SplitAnswers(found.found.samples, logits, found.found.truth, found.groups)
    measured = answers.measure(card.labels, 1.0, judged=answers.cross_fitted()).on_card()
    if "optimism_points" in found.recorded:
        measured["optimism_points"] = found.recorded["optimism_points"]
    return measured


def _measured_as_fp32(card: ModelCard) -> ModelCard:
    """The card, its figures marked where they were measured in another precision than the file's.

    The folds measured them, whose networks were not exported; a file has no images of its own to be measured on.
    """
    if card.precision == "fp32":
        return card
    budget = {"accuracy_measured_on": "training images"} if card.quantization else {}
    metrics = {name: {**found, "measured_in": "fp32"} for name, found in card.metrics.items()}
    return replace(card, metrics=metrics, quantization={**card.quantization, **budget})


def prove(job: ExportJob, candidate: Model, what: str, *, exact: bool = True) -> Proof:
    """Compare a file with the checkpoint of `job`; `what` names it in errors and on the progress bar.

    Raises:
        ParityError: the file cannot be compared, or with `exact` is not equal to the checkpoint to 1e-4.
    """
    parity = check_parity(
        job.expected,
        candidate,
        what=what,
        decision=decision_of(job.card),
        tolerance=MAX_DIFFERENCE if exact else None,
    )
    validation = compare_split(job.split, candidate, job.progress, what=what)
    if exact:
        validation.require_equal(what)
    return Proof(parity, validation)
