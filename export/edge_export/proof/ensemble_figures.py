"""What may be quoted of an average of runs: figures on images that chose nothing of it, or what the choice flatters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from edge_export.export_job import ExportJob
from edge_export.networks.averaging_network import AveragingNetwork
from edge_export.networks.ensemble import EnsembleNetwork
from edge_export.proof.answers import Model, torch_model
from edge_export.proof.held_out_figures import answer_images, answer_test
from edge_export.proof.whole_split import SplitAccuracy
from edge_runtime import Evaluation, ModelCard, measure_at
from edge_train import SplitAnswers

# By how much choosing its epoch flatters a member's accuracy, the mean of the members that know.
OPTIMISM = "members_optimism_points"


def with_ensemble_figures(job: ExportJob, card: ModelCard, file: Model, found: SplitAccuracy) -> ModelCard:
    """The card with test figures where the members have test images in common, and honest ones of validation.

    The members' epochs and temperatures were chosen on the validation images. So the figures that judge the
    probabilities are cross-fitted, as of a single run: each part of the images is answered at the temperatures that
    each member has on the others, in fp32; below it, and so the whole file's, at the temperature of its own answers.
    Without test images, or where none can be read, the card also says by how much the choice of the epoch flatters a
    member.
    """
    assert found.found is not None, "the split was classified"
    validated = {**card.metrics["val"], **_validation(job, card, found.found, found)}
    metrics = {**card.metrics, "val": validated}
    if job.test and (answers := answer_test(job, file, "ensemble")) is not None:
        measured = _as_answers(answers).measure(card.labels, 1.0).on_card()
        if (point := card.operating_point) is not None:
            measured["at_threshold"] = measure_at(point, card.labels, answers.truth, answers.probabilities).to_json()
        metrics["test"] = measured
    elif known := _members_optimism(card):
        validated[OPTIMISM] = sum(known) / len(known)
    return replace(card, metrics=metrics)


def caution(card: ModelCard) -> str:
    """The sentence that an ensemble's accuracy on validation is to be read with; "" where there is a better figure."""
    if not card.members or "test" in card.metrics or "val" not in card.metrics:
        return ""
    chosen = f"the epochs and temperatures of the {len(card.members)} members were chosen on these validation images"
    known = _members_optimism(card)
    if not known:
        return f"{chosen}, so the accuracy is somewhat too good; by how much is not known"
    much = " to ".join(dict.fromkeys(f"{points:.1f}" for points in (min(known), max(known))))
    return (
        f"{chosen}: alone, a member's accuracy is about {much} points too good by that; how much of it the average "
        "keeps is not known"
    )


def _members_optimism(card: ModelCard) -> list[float]:
    points = [dict(each.get("metrics", {})).get("val", {}).get("optimism_points") for each in card.members]
    return [float(each) for each in points if isinstance(each, int | float)]


def _validation(job: ExportJob, card: ModelCard, given: Evaluation, found: SplitAccuracy) -> dict[str, Any]:
    members = _members(job.network) if card.precision == "fp32" else ()
    if members:
        what = "ensemble on the members"
        each = [_as_answers(answer_images(job, torch_model(one, card), given.samples, what)) for one in members]
        crossed = [replace(answers, groups=found.groups).cross_fitted() for answers in each]
        # The parts are those of the images, the same for every member.
        judged = np.stack([rows for rows, _ in crossed]).mean(axis=0, dtype=np.float32), crossed[0][1]
        answers = _as_answers(given)
    else:
        answers = replace(_as_answers(given), groups=found.groups)
        judged = answers.cross_fitted()
    return answers.measure(card.labels, 1.0, judged=judged).on_card()


def _members(network: nn.Module) -> tuple[nn.Module, ...]:
    """The members of an ensemble as they answer in it, each its views averaged where the ensemble's are."""
    if isinstance(network, AveragingNetwork):
        return tuple(AveragingNetwork(each, network.views) for each in _members(network.network))
    return tuple(network.members) if isinstance(network, EnsembleNetwork) else ()


def _as_answers(found: Evaluation) -> SplitAnswers:
    """The answers to a split; the logarithm of a probability is a logit, at temperature 1."""
    logits = np.log(np.maximum(found.probabilities, np.finfo(np.float32).tiny))
    return SplitAnswers(found.samples, logits, found.truth)
