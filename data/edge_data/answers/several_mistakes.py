"""The images of which a model of several labels, or of several tasks, answers something otherwise than labelled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_data.answers.further_columns import FurtherColumns
from edge_data.sets.held_out import EvaluationData
from edge_data.sets.list_target import delimiter_of
from edge_runtime import (
    ListPaths,
    ModelCard,
    OtherColumns,
    SeveralEvaluation,
    csv_line,
    is_utf_8,
    quoted_text,
    task_slices,
    write_text,
)


def write_several_mistakes(
    target: Path, chosen: EvaluationData, found: SeveralEvaluation, card: ModelCard, others: OtherColumns | None = None
) -> tuple[int, list[str]]:
    """Write a row for each image that has a mistake, the surest first.

    Gives how many there are in it, and those that are not, whose names no list can hold. Of several labels
    `path,label,answer,probability,label_probability`, where `cat|dog` are all of them: `probability` is how sure the
    model is of the answer that is wrong, given or not given, and `label_probability` the rest of it; of several
    mistakes the surest one's. Of several tasks `path`, and for each `TASK,TASK_answer,TASK_probability`, `TASK` being
    the label and empty where there is none. Where the data names them, `split` and `group` follow, then `others`.

    Raises OutputError where it cannot be written.
    """
    columns, rows = _of_tasks(found, card) if card.tasks else _of_labels(found, card)
    ordered = sorted(rows, key=lambda row: -row[1])
    place, delimiter = ListPaths(target.parent), delimiter_of(target)
    more = FurtherColumns(chosen, columns, others)
    lines = [csv_line(["path", *columns, *more.names], delimiter)]
    left_out: list[str] = []
    for row, _, cells in ordered:
        path = found.samples[row].path
        whole = [place(str(chosen.root / path)), *cells]
        if not is_utf_8(whole[0]):
            left_out.append(path)
            continue
        lines.append(csv_line([*map(quoted_text, whole), *more.cells(path)], delimiter))
    write_text(target, "".join(lines))
    return len(lines) - 1, left_out


# Of each image with a mistake: its row, how sure the surest mistake is, and its cells.
_Rows = Iterator[tuple[int, float, Sequence[str]]]


def _of_labels(found: SeveralEvaluation, card: ModelCard) -> tuple[list[str], _Rows]:
    scores = found.probabilities.astype(np.float64)
    truth, said = found.label_truth, scores >= np.array(card.thresholds)
    sure = np.where(truth != said, np.where(said, scores, 1 - scores), -1.0).max(axis=1)

    def rows() -> _Rows:
        for row in np.flatnonzero((truth != said).any(axis=1)).tolist():
            shares = [f"{sure[row]:.6f}", f"{1 - sure[row]:.6f}"]
            yield row, float(sure[row]), [_joined(card, truth[row]), _joined(card, said[row]), *shares]

    return ["label", "answer", "probability", "label_probability"], rows()


def _joined(card: ModelCard, there: NDArray[np.bool_]) -> str:
    return "|".join(card.labels[at] for at in np.flatnonzero(there))


def _of_tasks(found: SeveralEvaluation, card: ModelCard) -> tuple[list[str], _Rows]:
    truth = found.task_truth
    parts = [(task, found.probabilities[:, own]) for task, own in task_slices(card.tasks)]
    said = np.stack([rows.argmax(axis=1) for _, rows in parts], axis=1)
    shares = np.stack([rows.max(axis=1) for _, rows in parts], axis=1).astype(np.float64)
    wrong = (truth >= 0) & (truth != said)
    sure = np.where(wrong, shares, -1.0).max(axis=1)

    def rows() -> _Rows:
        for row in np.flatnonzero(wrong.any(axis=1)).tolist():
            cells: list[str] = []
            for at, task in enumerate(card.tasks):
                label = task.labels[truth[row, at]] if truth[row, at] >= 0 else ""
                cells += [label, task.labels[said[row, at]], f"{shares[row, at]:.6f}"]
            yield row, float(sure[row]), cells

    names = [task.name for task in card.tasks]
    return [column for name in names for column in (name, f"{name}_answer", f"{name}_probability")], rows()
