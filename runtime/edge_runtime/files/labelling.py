"""What is said of a picture: which one of the classes it is, which of them it shows, or one label for each task."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from edge_runtime.errors import UsageError
from edge_runtime.model.task import TASK_NAME, Task

MISSING = -1
"""The target of a task that a picture has no label for."""

SEPARATOR = "|"
"""What stands between the labels of a picture that has several, as in `cat|dog`."""

_NO_TASKS = frozenset({"path", "split", "group"})


def check_task_names(names: Sequence[str]) -> None:
    """Raise UsageError unless they can name columns of a list and outputs of a file."""
    for name in names:
        if not TASK_NAME.fullmatch(name):
            raise UsageError(f"`tasks` {name!r} is no name of a task", "letters, digits and _, a letter first")
        if name.lower() in _NO_TASKS:
            raise UsageError(f"`tasks` {name}: that column of a list is no label", "name columns that hold labels")
    lowered = [name.lower() for name in names]
    if twice := next((name for name in names if lowered.count(name.lower()) > 1), None):
        raise UsageError(f"`tasks` names {twice} twice", "name each once")


def find_label(said: str, labels: Sequence[str]) -> str | None:
    """The one of `labels` that is meant, in whatever Unicode form a person typed it; None where there is none."""
    if said in labels:
        return said
    return next((label for label in labels if composed(label) == composed(said)), None)


def composed(label: str) -> str:
    """The label in Unicode's composed form: a folder copied from macOS may spell é as two code points.

    To a person that is the same name, and to this program the same class.
    """
    return label if label.isascii() else unicodedata.normalize("NFC", label)


def joint_label(task: str, label: str) -> str:
    """A task's label as it stands among those of all tasks."""
    return f"{task}: {label}"


def tasks_of(names: Sequence[str], labels: Sequence[str]) -> tuple[Task, ...]:
    """The tasks of those names, each with those of the joint `labels` that are its own, in their order."""
    return tuple(
        Task(name, tuple(label.removeprefix(f"{name}: ") for label in labels if label.startswith(f"{name}: ")))
        for name in names
    )
