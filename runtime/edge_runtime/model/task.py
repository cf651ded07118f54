"""A task: one question among several that a model answers of each picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

TASK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
"""What a task may be called: it is part of an output's name in the graph, and a column's in a list."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task by `name`, its `labels` in the order of its probabilities, and the `temperature` that is folded in."""

    name: str
    labels: tuple[str, ...]
    temperature: float = 1.0

    @property
    def output(self) -> str:
        """Its output in the graph: float32 `[batch, labels]`, each row summing to 1."""
        return f"probabilities_{self.name}"

    @property
    def card_labels(self) -> tuple[str, ...]:
        """Its labels as they stand among those of all tasks: `NAME: LABEL`."""
        return tuple(f"{self.name}: {label}" for label in self.labels)

    def to_json(self) -> dict[str, Any]:
        """As a card carries it."""
        return {"name": self.name, "labels": list(self.labels), "temperature": self.temperature}


def task_slices(tasks: Sequence[Task]) -> Iterator[tuple[Task, slice]]:
    """Each task and where its classes stand among those of all, in order."""
    start = 0
    for task in tasks:
        yield task, slice(start, start := start + len(task.labels))
