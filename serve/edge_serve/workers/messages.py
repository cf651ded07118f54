"""What the supervisor and its workers tell each other, over a socket of their own, as Python's objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from edge_runtime import ModelCard
from edge_serve.settings import ServeSettings

# Label, probability and, where the file tells it, distance from training.
Given: TypeAlias = tuple[str, float, float | None]


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is to do: the first thing it is told.

    `number` tells it from the others, `shared` is the folder of the metrics that they have in common, and `batching`
    says of each model whether to batch and why, where another worker has measured it.
    """

    number: int
    settings: ServeSettings
    shared: Path
    batching: dict[str, tuple[bool, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that the worker answers with from now on: at its start, and where its file was replaced.

    `file` tells the file from its successors; it is empty where that is not known yet.
    """

    model: str
    card: ModelCard
    file: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Answers:
    """What the worker has answered with a model since it last said so."""

    model: str
    given: tuple[Given, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker takes clients; whether each model is run in batches, and why.

    `said` is what a user is told at the start of how the models are run.
    """

    batching: dict[str, tuple[bool, str]]
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker cannot start; what a user is told of it, and the exit code that goes with that."""

    message: str
    hint: str
    exit_code: int


Message: TypeAlias = Opened | Answers | Ready | Failed
