"""The columns of the answers in Parquet, as the model's kind wants them, and their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime import ImageError, ModelCard, MultiLabelPrediction, Prediction, UsageError

if TYPE_CHECKING:
    import pyarrow

INDEX = "index"
_BEFORE, _AFTER = (INDEX, "path"), ("embedding", "error", "model")


@dataclass(frozen=True, slots=True)
class AnswerColumns:
    """What a table of answers has: `index` and `path`, the answer, `embedding` on request, `error` and `model`.

    One label a picture: `label`, `probability` and `top`, and with `rejects` also `unlike` and `unlikeness`. Any
    number: `labels`, those given, `probability` of the most probable, and `top` with thresholds. Several tasks:
    `NAME`, `NAME_probability` and `NAME_top` for each.
    """

    kind: str
    tasks: tuple[str, ...]
    rejects: bool
    embedding_size: int

    @classmethod
    def of(cls, card: ModelCard, *, rejects: bool, embedding_size: int) -> AnswerColumns:
        """For a model's card; `embedding_size` is 0 where none is asked for.

        Raises UsageError where a task is called like another column.
        """
        columns = cls(card.kind, tuple(task.name for task in card.tasks), rejects, embedding_size)
        names = columns.schema().names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(f"the model has a task whose column {twice[0]!r} is there already", "use --csv instead")
        return columns

    def schema(self) -> pyarrow.Schema:
        """The columns and their types."""
        import pyarrow as pa

        ranked = [("label", pa.string()), ("probability", pa.float32())]
        if self.kind == "multi-label":
            top = pa.list_(pa.struct([*ranked, ("threshold", pa.float32())]))
            answer = [("labels", pa.list_(pa.string())), ("probability", pa.float32()), ("top", top)]
        else:
            kinds = (("", pa.string()), ("_probability", pa.float32()), ("_top", pa.list_(pa.struct(ranked))))
            answer = [(f"{task}{end}", kind) for task in self.tasks for end, kind in kinds]
            if not self.tasks:
                answer = [("label", pa.string()), ("probability", pa.float32()), ("top", kinds[2][1])]
        if self.rejects:
            answer += [("unlike", pa.bool_()), ("unlikeness", pa.float32())]
        vector = [("embedding", pa.list_(pa.float32(), self.embedding_size))] if self.embedding_size else []
        before, after = [(INDEX, pa.int64()), ("path", pa.string())], [("error", pa.string()), ("model", pa.string())]
        return pa.schema([*before, *answer, *vector, *after])

    def table(
        self,
        places: Sequence[int],
        paths: Sequence[str],
        answers: Sequence[tuple[Prediction, NDArray[np.float32] | None] | ImageError],
        *,
        top: int,
        min_confidence: float,
        model_sha256: str,
    ) -> pyarrow.Table:
        """A row for each of `paths`: its answer and embedding, or why it has none."""
        import pyarrow as pa

        rows = [
            {INDEX: place, "path": path, "model": model_sha256, **self._cells(answer, top, min_confidence)}
            for place, path, answer in zip(places, paths, answers, strict=True)
        ]
        return pa.Table.from_pylist(rows, schema=self.schema())

    def _cells(
        self, answer: tuple[Prediction, NDArray[np.float32] | None] | ImageError, top: int, min_confidence: float
    ) -> dict[str, Any]:
        if isinstance(answer, ImageError):
            return {"error": answer.message}
        given, embedding = answer
        cells: dict[str, Any] = {} if embedding is None else {"embedding": embedding}
        if isinstance(given, MultiLabelPrediction):
            labels = [row.label for row in given.given_labels(min_confidence)]
            ranked = [row._asdict() for row in given.ranked()[:top]]
            return cells | {"labels": labels, "probability": given.probability, "top": ranked}
        if self.rejects:
            cells |= {"unlike": given.unlike, "unlikeness": given.unlikeness}
        for name, one in (given.tasks or {"": given}).items():
            values = (one.told(min_confidence), one.probability, [row._asdict() for row in one.top(top)])
            ends = ("", "_probability", "_top") if name else ("label", "probability", "top")
            cells |= {f"{name}{end}": value for end, value in zip(ends, values, strict=True)}
        return cells
