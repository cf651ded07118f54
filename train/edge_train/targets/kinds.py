"""Which kind of labels a run has, by its card."""

from __future__ import annotations

from edge_runtime import ModelCard
from edge_train.targets.multi_label import MultiLabel
from edge_train.targets.multi_task import MultiTask
from edge_train.targets.single_label import SingleLabel
from edge_train.targets.target_kind import TargetKind


def kind_of(card: ModelCard) -> TargetKind:
    """What the labels of the run with that card mean to its training."""
    if card.kind == "multi-label":
        return MultiLabel(card)
    return MultiTask(card) if card.kind == "multi-task" else SingleLabel(card)
