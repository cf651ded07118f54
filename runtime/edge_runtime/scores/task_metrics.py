"""Figures of merit of several tasks, each on the images that have a label for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.model.task import Task, task_slices
from edge_runtime.scores.metrics import Metrics, measure


@dataclass(frozen=True, slots=True, eq=False)
class TaskMetrics:
    """What `measure_tasks` found of `n` images: `tasks` has an entry per task, None where no image has its label."""

    n: int
    tasks: Mapping[str, Metrics | None]

    @property
    def mean_accuracy(self) -> float:
        """The mean of the tasks' accuracies, in 0..1, over those that have images; 0 where none has any."""
        there = [found.accuracy for found in self.tasks.values() if found is not None]
        return sum(there) / len(there) if there else 0.0

    def on_card(self) -> dict[str, Any]:
        """What of it a model card carries."""
        return self._with(Metrics.on_card)

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON object."""
        return self._with(Metrics.to_json)

    def _with(self, figures: Callable[[Metrics], dict[str, Any]]) -> dict[str, Any]:
        tasks = {name: {"n": 0} if found is None else figures(found) for name, found in self.tasks.items()}
        return {"n": self.n, "mean_accuracy": self.mean_accuracy, "tasks": tasks}


def measure_tasks(tasks: Sequence[Task], truth: NDArray[np.int64], probabilities: NDArray[np.float32]) -> TaskMetrics:
    """Compare `probabilities` `[N, classes of all tasks]` with `truth` `[N, tasks]`, -1 where the label is missing.

    Raises:
        ValueError: no images, or shapes that do not go together.
    """
    classes = sum(len(task.labels) for task in tasks)
    if not len(truth) or truth.shape[1:] != (len(tasks),) or probabilities.shape != (len(truth), classes):
        raise ValueError(f"truth {truth.shape}, probabilities {probabilities.shape}, {len(tasks)} tasks")
    found: dict[str, Metrics | None] = {}
    for at, (task, part) in enumerate(task_slices(tasks)):
        there = truth[:, at] >= 0
        found[task.name] = measure(task.labels, truth[there, at], probabilities[there, part]) if there.any() else None
    return TaskMetrics(len(truth), found)
