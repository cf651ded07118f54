"""The cells in which a table says what is true of an image: its label, its labels, or one for each task."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime import MISSING, SEPARATOR, Kind, Sample, Task


def label_columns(tasks: Sequence[Task]) -> list[str]:
    """The columns that a list has for labels: those of the tasks, or `label`."""
    return [task.name for task in tasks] or ["label"]


def label_cells(sample: Sample, labels: Sequence[str], kind: Kind, tasks: Sequence[Task]) -> list[str]:
    """One cell for each of those columns: several labels with `|` between two, a task's label or "" where it has none.

    `labels` are those of the data, in which the sample's stand.
    """
    if kind == "multi-task":
        given = zip(tasks, sample.targets, strict=True)
        return ["" if at == MISSING else task.labels[at] for task, at in given]
    if kind == "multi-label":
        return [SEPARATOR.join(labels[place] for place in sample.targets)]
    return [labels[sample.label]]
