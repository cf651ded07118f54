"""Settings as config.json keeps them: what they name is found from any folder."""

from __future__ import annotations

from dataclasses import replace

from edge_runtime import find_run
from edge_train.network.backbones import Backbone
from edge_train.network.lookup import as_kept, find_backbone
from edge_train.network.weights import find_again_from_anywhere
from edge_train.settings import TrainSettings


def as_kept_settings(settings: TrainSettings) -> tuple[TrainSettings, Backbone]:
    """The settings with places of their own for teacher, weights and backbone, and the backbone they name.

    Raises UsageError where one is not there.
    """
    teacher = None if settings.teacher is None else str(find_run(settings.teacher).path.resolve())
    weights = find_again_from_anywhere(settings.weights)
    backbone = find_backbone(settings.backbone)
    name = as_kept(settings.backbone, backbone)
    return replace(settings, teacher=teacher, weights=weights, backbone=name), backbone
