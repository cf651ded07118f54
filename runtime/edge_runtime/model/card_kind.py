"""What a model card says where a picture has several labels, or a label for each of several tasks."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeGuard

from edge_runtime.errors import ModelError
from edge_runtime.model.task import TASK_NAME, Task

Kind: TypeAlias = Literal["single-label", "multi-label", "multi-task"]
"""What a picture has: one label, any number of labels, or one for each task."""

_AGAIN = "export it again with edge export"
# A Raspberry Pi answers of so many outputs one after another; more is no file of edge's.
_MOST_TASKS = 64


def read_several(
    value: Mapping[str, Any], labels: Sequence[str], *, several: bool, where: str
) -> tuple[tuple[float, ...], tuple[Task, ...]]:
    """The thresholds or the tasks of a card, by its kind; `several` says that its format has those.

    Raises ModelError where they are malformed or do not go with the labels, or the kind is not known.
    """
    kind = value.get("kind")
    if not several or not isinstance(kind, str):
        raise _malformed("kind", where)
    if kind not in ("multi-label", "multi-task"):
        raise ModelError(f"{where} is a model of another kind, {kind[:40]!r}", "pip install --upgrade edge-vision")
    thresholds = _thresholds(value, where) if kind == "multi-label" else ()
    tasks = _tasks(value, where) if kind == "multi-task" else ()
    decides = bool(value.get("operating_point") or value.get("unlike"))
    check_several(labels, thresholds, tasks, where, decides=decides)
    return thresholds, tasks


def check_several(
    labels: Sequence[str], thresholds: Sequence[float], tasks: Sequence[Task], where: str, *, decides: bool
) -> None:
    """Raise ModelError where thresholds or tasks do not fit the labels; `decides` says that the card says more.

    An operating point decides between two labels of one answer, and what is unlike training has no label at all:
    neither is said of several.
    """
    if decides or (thresholds and tasks):
        raise ModelError(f"{where} decides in two ways what is answered", _AGAIN)
    if thresholds and (len(thresholds) != len(labels) or not all(0 <= each <= 1 for each in thresholds)):
        raise _malformed("thresholds", where)
    if tasks:
        names = [task.name for task in tasks]
        expected = [label for task in tasks for label in task.card_labels]
        fit = all(TASK_NAME.fullmatch(task.name) and _fits(task) for task in tasks)
        if not fit or len(set(names)) < len(names) or list(labels) != expected:
            raise _malformed("tasks", where)


def _thresholds(value: Mapping[str, Any], where: str) -> tuple[float, ...]:
    thresholds = value.get("thresholds")
    if not isinstance(thresholds, list) or not thresholds or not all(map(_is_number, thresholds)):
        raise _malformed("thresholds", where)
    return tuple(map(float, thresholds))


def _tasks(value: Mapping[str, Any], where: str) -> tuple[Task, ...]:
    tasks = value.get("tasks")
    if not isinstance(tasks, list) or not 0 < len(tasks) <= _MOST_TASKS:
        raise _malformed("tasks", where)
    return tuple(_task(task, where) for task in tasks)


def _task(value: Any, where: str) -> Task:
    if not isinstance(value, dict):
        raise _malformed("tasks", where)
    name, labels, temperature = (value.get(key) for key in ("name", "labels", "temperature"))
    texts = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    if not isinstance(name, str) or not isinstance(labels, list) or not texts or not _is_number(temperature):
        raise _malformed("tasks", where)
    return Task(name, tuple(labels), float(temperature))


def _fits(task: Task) -> bool:
    return len(task.labels) > 1 and 0 < task.temperature <= sys.float_info.max


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _malformed(key: str, where: str) -> ModelError:
    return ModelError(f"{where}: {key!r} in its 'edge' metadata is malformed", _AGAIN)
