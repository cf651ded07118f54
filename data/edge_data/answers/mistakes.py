"""The images that a model answers otherwise than they are labelled: its mistakes, or those of the labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_data.answers.further_columns import FurtherColumns
from edge_data.sets.held_out import EvaluationData
from edge_data.sets.list_target import delimiter_of
from edge_runtime import (
    Evaluation,
    ListPaths,
    ModelCard,
    OtherColumns,
    choose_answers,
    csv_line,
    quoted_text,
    require_utf_8,
    write_text,
)

COLUMNS = ("path", "label", "answer", "probability", "label_probability")


def write_mistakes(
    target: Path, chosen: EvaluationData, found: Evaluation, card: ModelCard, others: OtherColumns | None = None
) -> int:
    """Write `path,label,answer,probability,label_probability` of each mistake, the surest first; gives how many.

    Where the data names them, `split` and `group` follow, then `others`. `answer` is what the model's operating point
    makes of the probabilities, if it has one. Paths are relative to the list's folder.

    Raises:
        DataError: a name that no list can hold.
        OutputError: it cannot be written.
    """
    truth = found.truth
    answers = choose_answers(card.labels, found.probabilities, card.operating_point)
    rows = np.arange(len(truth))
    given, known = found.probabilities[rows, answers], found.probabilities[rows, truth]
    wrong = np.flatnonzero(answers != truth)
    # Of answers that are equally sure, the one that leaves the label least comes first.
    wrong = wrong[np.lexsort((known[wrong], -given[wrong]))]
    require_utf_8([found.samples[row].path for row in wrong])
    place, delimiter = ListPaths(target.parent), delimiter_of(target)
    more = FurtherColumns(chosen, COLUMNS, others)
    lines = [csv_line([*COLUMNS, *more.names], delimiter)]
    for row in wrong:
        path = found.samples[row].path
        cells = [
            place(str(chosen.root / path)),
            card.labels[truth[row]],
            card.labels[answers[row]],
            f"{given[row]:.6f}",
            f"{known[row]:.6f}",
        ]
        lines.append(csv_line([*map(quoted_text, cells), *more.cells(path)], delimiter))
    write_text(target, "".join(lines))
    return len(wrong)
