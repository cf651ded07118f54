"""What summary.json says of a run that nothing was trained for: an average of others, or an import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_runtime import Metrics, ModelCard, Run, headline
from edge_train.network.network import Network
from edge_train.run.versions import git_revision
from edge_train.settings import Criterion


def untrained_summary(
    run: Run, card: ModelCard, metrics: Mapping[str, Metrics], network: Network, *, best_by: Criterion = "accuracy"
) -> dict[str, Any]:
    """Under the keys that a trained run's has."""
    return {
        "run": run.name,
        "strategy": card.strategy,
        "backbone": card.backbone,
        "best_epoch": 0,
        "best_by": best_by,
        "epochs": 0,
        "temperature": card.temperature,
        "headline": headline(metrics),
        "metrics": {name: found.to_json() for name, found in metrics.items()},
        "parameters": sum(p.numel() for p in network.parameters()),
        "parameters_trained": 0,
        "training_seconds": 0.0,
        "git_revision": git_revision(),
        "diagnosis": [],
    }
