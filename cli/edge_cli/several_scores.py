"""What a model of several labels, or of several tasks, scores on a split, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_cli.split_scores import (
    MOST_CLASSES,
    calibration_error,
    interval_cell,
    number_cell,
    other_figures,
    print_classes,
    print_scores,
)
from edge_runtime import one_line

_COLUMNS = (
    "label",
    "given from",
    "precision",
    "95 % interval",
    "recall",
    "95 % interval",
    "F1",
    "AUROC",
    "avg. precision",
    "images",
)


def print_summary(summary: Mapping[str, Any]) -> None:
    """Print the metrics of a run's summary, and the classes, labels or tasks of the headline's split."""
    if summary.get("kind", "single-label") == "single-label":
        print_scores(summary)
        return
    metrics, headline = summary["metrics"], summary["headline"]
    for split, figures in metrics.items():
        print(several_line(split, figures))
        if "tasks" not in figures:
            print(f"  {several_figures(figures)}")
        elif split != headline:
            print(f"  {tasks_line(figures)}")
    if tasks := metrics[headline].get("tasks"):
        for name, figures in tasks.items():
            print_task(name, figures)
    else:
        print_labels(metrics[headline])


def several_line(split: str, figures: Mapping[str, Any]) -> str:
    """The figures to quote, on one line: mAP and F1, or the mean accuracy of the tasks."""
    if "tasks" in figures:
        return (
            f"{split} mean accuracy of {len(figures['tasks'])} tasks {figures['mean_accuracy']:.1%} (n {figures['n']})"
        )
    interval = figures.get("map_interval_95")
    sure = f", 95 % interval {interval[0]:.1%} to {interval[1]:.1%}" if interval else ""
    low, high = figures["exact_match_interval_95"]
    average = "–" if figures["map"] is None else f"{figures['map']:.1%}"
    return (
        f"{split} mAP {average} (n {figures['n']}{sure}), F1 {number_cell(figures['f1_micro'])} over all answers, "
        f"{number_cell(figures['f1_macro'])} as the labels' mean; every label right in {figures['exact_match']:.1%} "
        f"({low:.1%} to {high:.1%}) of the images"
    )


def several_figures(figures: Mapping[str, Any]) -> str:
    """What else is said of several labels: how good their probabilities are."""
    return f"{other_figures(figures)}, {calibration_error(figures)}; each a mean over images and labels"


def tasks_line(figures: Mapping[str, Any]) -> str:
    """The accuracy of each task on one line, with its own number of images."""
    return ", ".join(
        f"{one_line(name)} {own['accuracy']:.1%} (n {own['n']})" if own["n"] else f"{one_line(name)}: no labelled image"
        for name, own in figures["tasks"].items()
    )


def print_task(name: str, figures: Mapping[str, Any]) -> None:
    """Print one task's figures, and a row per class."""
    name = one_line(name)
    if not figures["n"]:
        print(f"{name}: no image has a label for it")
        return
    low, high = figures["accuracy_interval_95"]
    print(
        f"{name} accuracy {figures['accuracy']:.1%} (n {figures['n']}, 95 % interval {low:.1%} to {high:.1%}), "
        f"{calibration_error(figures)}"
    )
    print(f"  {other_figures(figures)}")
    print_classes(figures)


def print_labels(figures: Mapping[str, Any]) -> None:
    """Print a row per label, and which labels no image has; nothing of very many labels."""
    from edge_cli.console import print_table

    rows = figures["per_class"]
    if len(rows) > MOST_CLASSES:
        print(f"{len(rows)} labels: --json has the figures of each")
    else:
        print_table(_COLUMNS, [_cells(row) for row in rows])
    if absent := figures["absent"]:
        means = "no recall, AUROC or average precision there, and no part in the means"
        print(f"no image has {one_line(_names(absent))}: {means}")


def label_line(row: Mapping[str, Any]) -> str:
    """One label of a card on one line."""
    return (
        f"{row.get('label')}: given from {number_cell(row.get('threshold'))}, precision "
        f"{number_cell(row.get('precision'))} ({interval_cell(row.get('precision_interval_95'))}), recall "
        f"{number_cell(row.get('recall'))} ({interval_cell(row.get('recall_interval_95'))}), average precision "
        f"{number_cell(row.get('average_precision'))}, n {row.get('support')}"
    )


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["label"],
        number_cell(row["threshold"]),
        number_cell(row["precision"]),
        interval_cell(row["precision_interval_95"]),
        number_cell(row["recall"]),
        interval_cell(row["recall_interval_95"]),
        number_cell(row["f1"]),
        number_cell(row["auroc"]),
        number_cell(row["average_precision"]),
        str(row["support"]),
    )


def _names(labels: Sequence[str]) -> str:
    return ", ".join(labels[:MOST_CLASSES]) + (", …" if len(labels) > MOST_CLASSES else "")
