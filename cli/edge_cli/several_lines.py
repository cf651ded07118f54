"""What a card says where a picture has several labels, or one for each of several tasks, as a person reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from edge_cli.several_scores import label_line
from edge_cli.split_scores import class_line

if TYPE_CHECKING:
    from edge_runtime import ModelCard

SHOWN = 20


def kind_lines(card: ModelCard) -> list[tuple[str, str]]:
    """What the model answers: a name and a value per line; none for one label a picture."""
    if card.kind == "multi-label":
        given = [f"{label} from {least:.1%}" for label, least in zip(card.labels, card.thresholds, strict=True)]
        more = ", …" if len(given) > SHOWN else ""
        return [("kind", f"multi-label, given {', '.join(given[:SHOWN])}{more}")]
    if card.kind == "multi-task":
        lines = [("kind", f"multi-task, {len(card.tasks)} tasks")]
        for task in card.tasks:
            more = ", …" if len(task.labels) > SHOWN else ""
            shown = ", ".join(task.labels[:SHOWN])
            labels = f"{len(task.labels)} labels: {shown}{more}; temperature {task.temperature:.3f}"
            lines.append(("task", f"{task.name}, {labels}"))
        return lines
    return []


def metric_lines(
    split: str, figures: Mapping[str, Any], plain: Callable[[Mapping[str, Any]], str]
) -> list[tuple[str, str]]:
    """The figures of one split, a name and a value per line; `plain` puts those that are no rows on one line."""
    lines = [(split, plain(figures))]
    rows = figures.get("per_class")
    line = label_line if "map" in figures else class_line
    lines += [("", line(row)) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    tasks = figures.get("tasks")
    for name, own in tasks.items() if isinstance(tasks, dict) else ():
        if isinstance(own, dict):
            (_, first), *rest = metric_lines("", own, plain)
            lines += [("", f"{name}: {first}"), *(("", f"  {text}") for _, text in rest)]
    return lines
