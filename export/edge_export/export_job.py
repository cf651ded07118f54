"""Everything an export needs before it writes: the network, its card, and the proof it is held to."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from torch import nn

from edge_export.networks.averaging_network import AveragingNetwork
from edge_export.networks.ensemble import EnsembleNetwork, Member, average_cards, published, read_members
from edge_export.networks.with_embedding import EmbeddingNetwork
from edge_export.proof.answers import torch_model
from edge_export.proof.decision import decision_of
from edge_export.proof.parity import Expected, expect
from edge_export.proof.proof_pictures import find_proof_pictures
from edge_export.proof.sample_images import Picture, hostile_pictures, spread
from edge_export.proof.whole_split import SplitReference
from edge_export.settings import ExportSettings
from edge_runtime import (
    CROSS_VALIDATED,
    MIN_SENSITIVITY,
    AveragedViews,
    ModelCard,
    OperatingPoint,
    ParityError,
    Progress,
    Run,
    Sample,
    TtaName,
    UsageError,
    check_positive,
    find_label,
)
from edge_train import DeployedNetwork

PARITY_IMAGES = 64


@dataclass(frozen=True, slots=True, eq=False)
class ExportJob:
    """The network of `runs` (one, or the members of an ensemble) and what its files are compared with.

    `training` are the images below `root` that int8 is calibrated on, `test` those that nothing of a run, or of any
    member of an ensemble, was chosen on.
    """

    runs: tuple[Run, ...]
    card: ModelCard
    network: nn.Module
    expected: Expected
    split: SplitReference
    root: Path
    training: tuple[Sample, ...]
    settings: ExportSettings
    progress: Progress
    test: tuple[Sample, ...] = ()


def prepare(
    runs: Sequence[Run], data: Path | Sequence[Path] | None, settings: ExportSettings, progress: Progress
) -> ExportJob:
    """Load the checkpoints and run them on the pictures of the proof.

    Raises:
        UsageError: runs that cannot be averaged.
        CheckpointError: there is no usable checkpoint.
        ParityError: no image of the proof can be read.
    """
    members = read_members(runs)
    for member in members:
        require_one_label(member.card, settings, members=len(members))
    for run in runs:
        if not run.summary.is_file():
            progress.say(f"note: {run.path} was not finished: this is its best epoch so far, uncalibrated")
    network, card = _build(members, settings)
    if card.operating_point is None and any(member.card.operating_point for member in members):
        progress.say(
            f"note: the runs' thresholds differ ({', '.join(map(_aim, members))}), so the file has none: it answers "
            "with the more probable class; `positive` chooses one"
        )
    pictures = find_proof_pictures(members, data, settings, progress)
    recorded: dict[str, Any] = dict(card.metrics.get("val", {}))
    shown = pictures.shown
    if shown == "training":
        progress.say(
            "note: the model learned from all images, so its file is compared on training images; its accuracy is the "
            "cross-validated one"
        )
    model = torch_model(network, card)
    root, chosen = pictures.root, spread(pictures.samples, PARITY_IMAGES)
    files = [Picture(sample.path, root / sample.path) for sample in chosen]
    expected = expect(model, [*files, *hostile_pictures(card.preprocessing)])
    if all(picture.hostile for picture in expected.pictures):
        raise ParityError(
            f"none of the {shown} images of {runs[0].path} can be read in {root}, so nothing can be proven",
            "name the folder they are in now with `data`",
        )
    return ExportJob(
        runs=tuple(runs),
        card=card,
        network=network,
        expected=expected,
        split=SplitReference(
            model, root, pictures.samples, recorded, shown, decision=decision_of(card), groups=pictures.groups
        ),
        root=root,
        training=pictures.training,
        settings=settings,
        progress=progress,
        test=pictures.test,
    )


def require_one_label(card: ModelCard, settings: ExportSettings, *, members: int) -> None:
    """Raise UsageError where something is asked for that goes with one label a picture alone, and there are several."""
    if card.kind == "single-label":
        return
    if members > 1:
        raise UsageError(f"a {card.kind} run cannot be averaged with others", "export one run")
    refused = {
        "positive": settings.positive is not None,
        "min_sensitivity": settings.min_sensitivity is not None,
        "with_unlike": settings.with_unlike,
        "tta": settings.tta != "none",
    }
    for name, given in refused.items():
        if given:
            raise UsageError(f"`{name}` is for models of one label a picture, not for {card.kind}", "drop it")


def _build(members: Sequence[Member], settings: ExportSettings) -> tuple[nn.Module, ModelCard]:
    deployed = [member.deploy() for member in members]
    card = members[0].card if len(members) == 1 else average_cards(members)
    card = replace(card, versions={**card.versions, **_versions()}, architecture=published(card.architecture))
    card = _asked_threshold(card, settings)
    if settings.tta != "none":
        return _averaging(deployed, card, settings)
    if len(members) > 1:
        return EnsembleNetwork(deployed), card
    if settings.with_unlike and CROSS_VALIDATED in card.metrics:
        raise UsageError(
            "the model learned from all images, so its file has none to say what known pictures look like",
            "drop `with_unlike`, or train without `folds`",
        )
    if settings.with_embedding or settings.with_unlike:
        network = EmbeddingNetwork(deployed[0], members[0].checkpoint.backbone.head)
        size = network.size(card.preprocessing.height_px, card.preprocessing.width_px)
        return network, replace(card, embedding_size=size)
    return deployed[0], card


def _averaging(
    deployed: Sequence[DeployedNetwork], card: ModelCard, settings: ExportSettings
) -> tuple[nn.Module, ModelCard]:
    """The network, or the ensemble of several, that averages views; its card has the views' preprocessing."""
    if CROSS_VALIDATED in card.metrics:
        raise UsageError(
            "the model learned from all images, so its file has none to measure averaged views on",
            "drop `tta`, or train without `folds`",
        )
    views = AveragedViews(cast("TtaName", settings.tta), card.preprocessing)
    network = deployed[0] if len(deployed) == 1 else EnsembleNetwork(deployed)
    tta = {"name": views.name, "views": len(views.views)}
    return AveragingNetwork(network, views), replace(card, preprocessing=views.preprocessing, tta=tta)


def _asked_threshold(card: ModelCard, settings: ExportSettings) -> ModelCard:
    """The card as it is, or with the threshold that was asked for still to be chosen on the file's answers."""
    point = card.operating_point
    asked = settings.positive
    positive = (asked and find_label(asked, card.labels)) or asked or (point.positive if point else None)
    if positive is None:
        if settings.min_sensitivity is not None:
            raise UsageError("`min_sensitivity` is that of the class in `positive`", "name the class, too")
        return card
    sensitivity = settings.min_sensitivity or (point.min_sensitivity if point else MIN_SENSITIVITY)
    if point is not None and (positive, sensitivity) == (point.positive, point.min_sensitivity):
        return card
    if CROSS_VALIDATED in card.metrics:
        raise UsageError(
            "the model learned from all images, so its file has none to choose a threshold on",
            "train again with `positive` and `folds`: the threshold is chosen on the folds' answers",
        )
    positive = check_positive(positive, card.labels)
    metrics = {
        split: {name: value for name, value in figures.items() if name != "at_threshold"}
        for split, figures in card.metrics.items()
    }
    return replace(card, operating_point=OperatingPoint(positive, 0.5, sensitivity, 0, 0), metrics=metrics)


def _aim(member: Member) -> str:
    point = member.card.operating_point
    return "none" if point is None else f"{point.positive} at {point.min_sensitivity:.1%}"


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("onnx", "onnxruntime", "torch")}
