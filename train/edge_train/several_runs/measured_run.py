"""A finished run as a row of a comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edge_runtime import CheckpointError, Kind, Run
from edge_train.settings import Criterion, Strategy, find_strategy
from edge_train.several_runs.comparison import Figure, StrategyRow


def read_row(run: Run) -> StrategyRow:
    """The row of a finished run, from its files. Raises CheckpointError where they are missing or damaged."""
    try:
        kind = run.read_config()["card"].get("kind", "single-label")
        summary = json.loads(run.summary.read_text(encoding="utf-8"))
        return row_of(find_strategy(summary["strategy"]), run, summary, kind)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{run.path} is not a finished run: {error!r}", "train it again") from error


def row_of(strategy: Strategy, run: Run, summary: Mapping[str, Any], kind: Kind) -> StrategyRow:
    """The row of a run whose summary.json says `summary` and whose pictures have labels of that kind."""
    val, test = summary["metrics"]["val"], summary["metrics"].get("test")
    figure = _figure(kind, val)
    one = figure == "accuracy"
    return StrategyRow(
        strategy=strategy,
        run=run,
        # Of yes or no to each label, which a mAP is not to stand beside.
        train_accuracy=None if kind == "multi-label" else summary["training_accuracy"],
        val_accuracy=val[figure],
        val_n=val["n"],
        val_interval=tuple(val["accuracy_interval_95"]) if one else None,
        test_accuracy=test[figure] if test else None,
        test_n=test["n"] if test else None,
        test_interval=tuple(test["accuracy_interval_95"]) if test and one else None,
        seconds=summary["seconds"],
        parameters_trained=summary["parameters_trained"],
        parameters=summary["parameters"],
        parameters_share=summary["parameters_trained"] / summary["parameters"],
        best_epoch=summary["best_epoch"],
        best_by=summary["best_by"],
        val_value=_value(summary["best_by"], val),
        figure=figure,
    )


def _figure(kind: Kind, val: Mapping[str, Any]) -> Figure:
    """What a run is told by, of those that its validation has."""
    if kind == "multi-label":
        return "map" if val["map"] is not None else "exact_match"
    return "mean_accuracy" if kind == "multi-task" else "accuracy"


def _value(criterion: Criterion, figures: Mapping[str, Any]) -> float | None:
    """The figure of a split that strategies are chosen by, greater for the better."""
    if "tasks" in figures:
        if criterion == "loss":
            return -float(sum(each["log_loss"] for each in figures["tasks"].values() if each["n"]))
        return float(figures["mean_accuracy"])
    if criterion == "loss":
        return -float(figures["log_loss"])
    value: float | None = figures[criterion.replace("-", "_")]
    return value
