"""The labels that a row of a list gives its image, one or several, as they are read and put in order."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edge_runtime.errors import DataError
from edge_runtime.files.csv_cells import plain_text
from edge_runtime.files.labelling import MISSING, SEPARATOR, composed, joint_label
from edge_runtime.files.manifest_rows import HINT, Faults, ManifestRow
from edge_runtime.model.card_kind import Kind
from edge_runtime.model.task import Task, task_slices


def said_labels(row: ManifestRow, kind: Kind, tasks: Sequence[str], faults: Faults) -> tuple[str, ...]:
    """What a row says of its image: its label, its labels in order, or `TASK: LABEL` of the tasks it has a label for.

    What is wrong with them goes to `faults`.
    """
    if kind == "single-label":
        return (composed(row.label),)
    if kind == "multi-task":
        given = zip(tasks, row.tasks, strict=True)
        said = tuple(joint_label(task, composed(label)) for task, label in given if label)
        if not said:
            faults.add(row.line, f"no label in {' or '.join(tasks)}")
        return said
    labels = [composed(plain_text(part.strip())) for part in row.label.split(SEPARATOR)] if row.label else []
    if "" in labels:
        faults.add(row.line, f"{row.label!r} has an empty label")
    twice = next((label for label in labels if labels.count(label) > 1), "")
    if twice:
        faults.add(row.line, f"the label {twice!r} stands twice in {row.label!r}")
    return tuple(sorted(labels))


def sort_labels(labels: Collection[str], tasks: Sequence[str]) -> list[str]:
    """The labels in the order of a network's logits: by name, and where there are `tasks` in the order of those."""
    if not tasks:
        return sorted(labels)
    return [label for task in tasks for label in sorted(labels) if label.startswith(f"{task}: ")]


def require_labels(where: str, labels: Sequence[str], tasks: Sequence[str]) -> None:
    """Raise DataError unless there are two labels or more, of each task where there are any; `where` is named in it."""
    for task in tasks:
        own = [label.removeprefix(f"{task}: ") for label in labels if label.startswith(f"{task}: ")]
        if len(own) < 2:
            has = f"one label, {own[0]!r}" if own else "no label"
            raise DataError(f"{where} has {has}, for the task {task}, which needs at least two", HINT)
    if not labels:
        raise DataError(f"{where} has no label", HINT)
    if len(labels) == 1:
        raise DataError(f"{where} has one label, {labels[0]!r}; a classifier needs at least two", HINT)


def targets_of(places: Sequence[int], tasks: Sequence[Task]) -> tuple[int, ...]:
    """A sample's targets, of whose labels these are the places: those in order, or the class in each task."""
    if not tasks:
        return tuple(sorted(places))
    found = []
    for _, own in task_slices(tasks):
        mine = [place - own.start for place in places if own.start <= place < own.stop]
        found.append(mine[0] if mine else MISSING)
    return tuple(found)
