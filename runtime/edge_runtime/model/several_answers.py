"""What a model answers that gives a picture several labels, or a label for each of several tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from edge_runtime.files.labelling import SEPARATOR
from edge_runtime.model.card_kind import Kind
from edge_runtime.model.prediction import Prediction
from edge_runtime.model.task import Task


class GivenLabel(NamedTuple):
    """A label, its probability, and the probability from which on it is given; both in 0..1."""

    label: str
    probability: float
    threshold: float


@dataclass(frozen=True, slots=True, eq=False)
class MultiLabelPrediction(Prediction):
    """An answer of any number of labels: each is given whose probability is at least its threshold.

    `thresholds` are in the order of `labels`, as are `probabilities`, which need not sum to 1.
    """

    thresholds: tuple[float, ...] = ()

    @property
    def kind(self) -> Kind:
        """`multi-label`."""
        return "multi-label"

    @property
    def label(self) -> str:
        """The labels given as one text, `cat|dog`; empty where none is."""
        return self.told()

    @property
    def given(self) -> tuple[str, ...]:
        """The labels given, the most probable first."""
        return tuple(row.label for row in self.given_labels())

    @property
    def probability(self) -> float:
        """That of the most probable label, given or not."""
        return float(self.probabilities.max())

    def told(self, min_confidence: float = 0.0) -> str:
        """The labels given on one line, `cat|dog`, without those less probable than `min_confidence`."""
        return SEPARATOR.join(row.label for row in self.given_labels(min_confidence))

    def given_labels(self, min_confidence: float = 0.0) -> tuple[GivenLabel, ...]:
        """The labels given, the most probable first; none that is less probable than `min_confidence`."""
        return tuple(row for row in self.ranked() if row.probability >= max(row.threshold, min_confidence))

    def ranked(self) -> tuple[GivenLabel, ...]:
        """All labels, the most probable first."""
        thresholds = dict(zip(self.labels, self.thresholds, strict=True))
        return tuple(GivenLabel(*row, thresholds[row.label]) for row in self.top(len(self.labels)))

    def to_json(self, k: int = 5, *, min_confidence: float = 0.0) -> dict[str, Any]:
        """The answer as `edge predict --json` prints it: all `labels` given, and the `k` most probable in `top`."""
        given = [row._asdict() for row in self.given_labels(min_confidence)]
        return {"image": self.image, "labels": given, "top": [row._asdict() for row in self.ranked()[: max(k, 0)]]}


@dataclass(frozen=True, slots=True, eq=False)
class MultiTaskPrediction(Prediction):
    """An answer of one label for each task of `heads`: `prediction.tasks["species"].label`.

    `labels` and `probabilities` are those of all tasks, one after another.
    """

    heads: tuple[Task, ...] = ()

    @property
    def kind(self) -> Kind:
        """`multi-task`."""
        return "multi-task"

    @property
    def tasks(self) -> Mapping[str, Prediction]:
        """The answer for each task, by name, in the model's order."""
        found, start = {}, 0
        for head in self.heads:
            stop = start + len(head.labels)
            found[head.name] = Prediction(self.image, head.labels, self.probabilities[start:stop])
            start = stop
        return found

    @property
    def label(self) -> str:
        """The tasks' labels as one text: `species: ant, age: old`."""
        return self.told()

    @property
    def given(self) -> tuple[str, ...]:
        """The tasks' labels, in the order of the tasks."""
        return tuple(answer.label for answer in self.tasks.values())

    @property
    def probability(self) -> float:
        """That of the least sure of the tasks' labels."""
        return min(answer.probability for answer in self.tasks.values())

    def told(self, min_confidence: float = 0.0) -> str:
        """The tasks' labels on one line; `unknown` is one less probable than `min_confidence`."""
        return ", ".join(f"{name}: {answer.told(min_confidence)}" for name, answer in self.tasks.items())

    def to_json(self, k: int = 5, *, min_confidence: float = 0.0) -> dict[str, Any]:
        """The answer as `edge predict --json` prints it: of each of the `tasks`, with the `k` most probable labels."""
        tasks = {name: answer.to_json(k, min_confidence=min_confidence) for name, answer in self.tasks.items()}
        for value in tasks.values():
            del value["image"]
        return {"image": self.image, "tasks": tasks}
