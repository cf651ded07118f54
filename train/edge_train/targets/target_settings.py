"""Which settings go with pictures of several labels, or of several tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_runtime import UsageError
from edge_train.targets.task_weights import EQUAL, parse_task_weights

_BEST_BY = {"multi_label": ("auto", "loss"), "tasks": ("auto", "accuracy", "loss")}


def check_targets(
    multi_label: bool, tasks: Sequence[str], task_weights: str, best_by: str, one_label_alone: Mapping[str, bool]
) -> None:
    """Raise UsageError where labels are to be read in two ways, or something else goes with one label a picture alone.

    `one_label_alone` names the settings that do, and says of each whether it was given.
    """
    if not multi_label and not tasks:
        if task_weights != EQUAL:
            raise UsageError("`task_weights` weighs the `tasks`, and there are none", "name them, or drop it")
        return
    asked = "multi_label" if multi_label else "tasks"
    if multi_label and tasks:
        raise UsageError("`multi_label` and `tasks` read the labels in two ways", "drop one of them")
    if multi_label and task_weights != EQUAL:
        raise UsageError("`task_weights` weighs the `tasks`, not the labels of `multi_label`", "drop it")
    if tasks:
        parse_task_weights(task_weights, tasks)
    if best_by not in _BEST_BY[asked]:
        raise UsageError(
            f"`best_by` {best_by} is for pictures of one label, not for `{asked}`",
            f"choose {', '.join(_BEST_BY[asked])}",
        )
    for name, given in one_label_alone.items():
        if given:
            value = " sampler" if name == "class_balance" else ""
            raise UsageError(f"`{name}`{value} is for pictures of one label, not for `{asked}`", "drop one of them")
