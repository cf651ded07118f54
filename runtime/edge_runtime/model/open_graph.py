"""An open model file: its session, its card, and how it is run."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from edge_runtime.model.card import EMBEDDING_NAME, INPUT_NAME, ModelCard
from edge_runtime.model.session import open_session

if TYPE_CHECKING:
    from edge_runtime.model.signature import PublicKey


@dataclass(frozen=True, slots=True)
class Graph:
    """An open model file with its card; `batch` is how many images it takes at a time, 0 for any number.

    `exact` says that its session computes int8 layers in floats; it was signed by one of `keys`, where there are any.
    """

    path: Path
    session: Any
    card: ModelCard
    embedding_size: int
    batch: int
    exact: bool
    keys: tuple[PublicKey, ...] = field(default=(), kw_only=True)

    def run(self, outputs: list[str], pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """The graph's `outputs` for uint8 pixels `[N, height, width, 3]`, each float32 with a row for each image."""
        results: list[NDArray[np.float32]] = self.session.run(outputs, {INPUT_NAME: pixels})
        return results

    def alone(self) -> Self:
        """The same file, opened once more to run on the thread that calls it. Raises UsageError or ModelError."""
        verified = None
        if self.keys:
            from edge_runtime.model.signature import read_signed

            verified, _ = read_signed(self.path, self.keys)
        return replace(self, session=open_session(self.path, threads=1, exact=self.exact, verified=verified))


@dataclass(frozen=True)
class KeepingGraph(Graph):
    """A graph that keeps the embedding of what it runs on, beside what it is asked for."""

    kept: list[NDArray[np.float32]] = field(default_factory=list, kw_only=True)

    @classmethod
    def of(cls, graph: Graph) -> Self:
        """The same open graph; it must have an embedding."""
        return cls(**{each.name: getattr(graph, each.name) for each in fields(Graph)})

    def run(self, outputs: list[str], pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """What the graph gives; its embedding is kept."""
        *found, embedding = super().run([*outputs, EMBEDDING_NAME], pixels)
        self.kept.append(embedding)
        return found
