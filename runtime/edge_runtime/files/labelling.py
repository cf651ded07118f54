"""What is said of a picture: which one of the classes it is, which of them it shows, or one label for each task."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from edge_runtime.errors import UsageError

LabelKind: TypeAlias = Literal["single-label", "multi-label", "multi-task"]

MISSING = -1
"""The target of a task that a picture has no label for."""

SEPARATOR = "|"
"""What stands between the labels of a picture that has several, as in `cat|dog`."""

_TASK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NO_TASKS = frozenset({"path", "split", "group"})


@dataclass(frozen=True, slots=True)
class Task:
    """One of the questions that a network of several tasks answers: its name, its classes, and their temperature."""

    name: str
    labels: tuple[str, ...]
    temperature: float = 1.0


def check_task_names(names: Sequence[str]) -> None:
    """Raise UsageError unless they can name columns of a list and outputs of a file."""
    for name in names:
        if not _TASK_NAME.fullmatch(name):
            raise UsageError(f"`tasks` {name!r} is no name of a task", "letters, digits and _, a letter first")
        if name.lower() in _NO_TASKS:
            raise UsageError(f"`tasks` {name}: that column of a list is no label", "name columns that hold labels")
    lowered = [name.lower() for name in names]
    if twice := next((name for name in names if lowered.count(name.lower()) > 1), None):
        raise UsageError(f"`tasks` names {twice} twice", "name each once")


def joint_labels(tasks: Sequence[Task]) -> tuple[str, ...]:
    """`NAME: LABEL` of all tasks, in the order of a network's logits."""
    return tuple(joint_label(task.name, label) for task in tasks for label in task.labels)


def joint_label(task: str, label: str) -> str:
    """A task's label as it stands among those of all tasks."""
    return f"{task}: {label}"


def tasks_of(names: Sequence[str], labels: Sequence[str]) -> tuple[Task, ...]:
    """The tasks of those names whose joint labels are `labels`, each in their order."""
    return tuple(
        Task(name, tuple(label.removeprefix(f"{name}: ") for label in labels if label.startswith(f"{name}: ")))
        for name in names
    )


def task_slices(tasks: Sequence[Task]) -> tuple[slice, ...]:
    """Where each task's classes are among the joint labels."""
    ends = [0]
    for task in tasks:
        ends.append(ends[-1] + len(task.labels))
    return tuple(map(slice, ends[:-1], ends[1:]))
