"""An open model file: its session, its card, and how it is run, by which engine."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import UsageError
from edge_runtime.model.card import EMBEDDING_NAME, INPUT_NAME, ModelCard
from edge_runtime.model.engine_names import RUNTIME_ENGINES, RuntimeEngine
from edge_runtime.model.session import open_session

if TYPE_CHECKING:
    from edge_runtime.model.signature import PublicKey


def open_by(
    engine: RuntimeEngine, path: Path, *, threads: int | None, exact: bool = False, verified: bytes | None = None
) -> Any:
    """The file at `path` as a session of that engine; the other parameters are those of `open_session`.

    Raises UsageError and ModelError as `open_session` and `open_openvino` do, and UsageError for an unknown engine.
    """
    if engine not in RUNTIME_ENGINES:
        raise UsageError(f"`engine` {engine} is not known", f"choose {', '.join(RUNTIME_ENGINES)} or auto")
    if exact and engine != "onnxruntime":
        raise UsageError(f"`exact` arithmetic is onnxruntime's, and `engine` is {engine}", "drop one of them")
    if engine in ("onnxruntime", "xnnpack"):
        return open_session(path, threads=threads, exact=exact, verified=verified, xnnpack=engine == "xnnpack")
    from edge_runtime.model.openvino_session import open_openvino

    return open_openvino(path, threads=threads, bfloat16=engine == "openvino-bf16", verified=verified)


@dataclass(frozen=True, slots=True)
class Graph:
    """An open model file with its card; `batch` is how many images it takes at a time, 0 for any number.

    `exact` says that its session computes int8 layers in floats; it was signed by one of `keys`, where there are any.
    `engine` runs it.
    """

    path: Path
    session: Any
    card: ModelCard
    embedding_size: int
    batch: int
    exact: bool
    keys: tuple[PublicKey, ...] = field(default=(), kw_only=True)
    engine: RuntimeEngine = field(default="onnxruntime", kw_only=True)

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
        session = open_by(self.engine, self.path, threads=1, exact=self.exact, verified=verified)
        return replace(self, session=session)


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
