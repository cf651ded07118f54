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
    is_utf_8,
    quoted_text,
    write_text,
)

COLUMNS = ("path", "label", "answer", "probability", "label_probability")


def write_mistakes(
    target: Path, chosen: EvaluationData, found: Evaluation, card: ModelCard, others: OtherColumns | None = None
) -> tuple[int, list[str]]:
    """Write `path,label,answer,probability,label_probability` of each mistake, the surest first.

    Gives how many there are in it, and those that are not, whose names no list can hold. Where the data names them,
    `split` and `group` follow, then `others`. `answer` is what the model's operating point makes of the probabilities,
    if it has one. Paths are relative to the list's folder.

    Raises OutputError where it cannot be written.
    """
    truth = found.truth
    answers = choose_answers(card.labels, found.probabilities, card.operating_point)
    rows = np.arange(len(truth))
    given, known = found.probabilities[rows, answers], found.probabilities[rows, truth]
    wrong = np.flatnonzero(answers != truth)
    # Of answers that are equally sure, the one that leaves the label least comes first.
    wrong = wrong[np.lexsort((known[wrong], -given[wrong]))]
    place, delimiter = ListPaths(target.parent), delimiter_of(target)
    more = FurtherColumns(chosen, COLUMNS, others)
    lines = [csv_line([*COLUMNS, *more.names], delimiter)]
    left_out: list[str] = []
    for row in wrong:
        path = found.samples[row].path
        named = place(str(chosen.root / path))
        if not is_utf_8(named):
            left_out.append(path)
            continue
        cells = [
            named,
            card.labels[truth[row]],
            card.labels[answers[row]],
            f"{given[row]:.6f}",
            f"{known[row]:.6f}",
        ]
        lines.append(csv_line([*map(quoted_text, cells), *more.cells(path)], delimiter))
    write_text(target, "".join(lines))
    return len(lines) - 1, left_out
