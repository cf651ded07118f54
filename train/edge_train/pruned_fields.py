"""Which settings go with pruning, which of them are the pruned run's own, and which are others than the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_runtime import UsageError

# What the data and the network are, and what fits them: where nothing else is given, as the run had it.
OF_THE_RUN = (
    "data",
    "multi_label",
    "tasks",
    "task_weights",
    "label_from",
    "backbone",
    "image_size",
    "augment",
    "batch_size",
    "best_by",
    "positive",
    "min_sensitivity",
    "class_balance",
    "dropout",
    "stem",
    "attention",
    "hidden_units",
    "limit",
    "group_by",
    "on_bad_image",
    "seed",
)
# Every layer has changed as much as the head: all learn at its rate, and so do the statistics. With these frozen, half
# of a MobileNetV2 stayed at chance for an epoch of 3,456 pictures.
OF_PRUNING: Mapping[str, Any] = {"strategy": "fine-tune", "lr_decay_per_stage": 1.0, "batch_norm": "train"}


def check_pruning(prune: float | None, weights: str, folds: int | None) -> None:
    """Raise UsageError where channels are to be taken from nothing, or `folds` of what every fold would know."""
    if prune is None:
        return
    if weights in {"default", "none"}:
        raise UsageError("`prune` takes channels from a finished run, and `weights` names none", "give `weights` RUN")
    if folds is not None:
        raise UsageError("`folds` measure on every image, and the run to `prune` was trained on some", "drop it")
