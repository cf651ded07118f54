"""What summary.json says of a run whose pictures may have several labels, beside what every run's does."""

from __future__ import annotations

import math
from typing import Any

from edge_runtime import ModelCard, Run
from edge_train.network.checkpoint import load_checkpoint


def note_targets(summary: dict[str, Any], card: ModelCard, run: Run) -> None:
    """Add the kind of labels, and each label's threshold, or each task's temperature and learned weight."""
    if card.kind == "single-label":
        return
    summary["kind"] = card.kind
    if card.thresholds:
        summary["thresholds"] = dict(zip(card.labels, card.thresholds, strict=True))
        return
    summary["temperatures"] = {task.name: task.temperature for task in card.tasks}
    if learned := load_checkpoint(run.last).training.get("loss"):
        variances = learned[0].tolist()
        summary["task_weights"] = {task.name: math.exp(-each) for task, each in zip(card.tasks, variances, strict=True)}
