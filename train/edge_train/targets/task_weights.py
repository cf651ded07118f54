"""What each task's loss weighs: the same, as told, or as learned with the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

from edge_runtime import UsageError

EQUAL: Final = "equal"
LEARNED: Final = "learned"


def parse_task_weights(text: str, tasks: Sequence[str]) -> tuple[float, ...] | Literal["learned"]:
    """The weight of each task's loss, or "learned".

    Raises:
        UsageError: it is neither "equal", "learned" nor NAME=NUMBER for each task, with commas between.
    """
    if text == EQUAL:
        return (1.0,) * len(tasks)
    if text == LEARNED:
        return LEARNED
    found: dict[str, float] = {}
    for part in text.split(","):
        name, sign, number = (word.strip() for word in part.partition("="))
        if not sign or name not in tasks or name in found:
            raise UsageError(
                f"`task_weights` {text}: {part.strip()!r} weighs no task, or one again",
                f"the tasks: {', '.join(tasks)}",
            )
        try:
            found[name] = float(number)
        except ValueError:
            found[name] = math.nan
        if not (math.isfinite(found[name]) and found[name] > 0):
            raise UsageError(f"`task_weights` {text}: {number!r} is no weight", "give numbers above 0")
    if missing := [name for name in tasks if name not in found]:
        raise UsageError(f"`task_weights` {text} says nothing of {', '.join(missing)}", "weigh every task")
    return tuple(found[name] for name in tasks)
