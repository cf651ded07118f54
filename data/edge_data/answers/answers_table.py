"""What a model answers to pictures that nobody has labelled, as a list of images whose labels are still to come."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from edge_runtime import (
    ListPaths,
    MultiLabelPrediction,
    OutputError,
    Prediction,
    UsageError,
    csv_cell,
    csv_line,
    is_utf_8,
    quoted_text,
)

COLUMNS = ("path", "label", "answer", "probability", "margin", "entropy", "error")


class AnswersTable:
    """Rows of `path,label,answer,probability,margin,entropy,error`, then `label_1,probability_1` to `label_K`.

    `label` is empty, so that the table is a manifest without labels: what the model says is no truth. `margin` is by
    how much the most probable label leads, `entropy` that of all probabilities in nats. Paths are relative to `base`.

    Of several labels `answer` is `cat|dog`, `margin` how near a probability comes to its threshold, `entropy` the sum
    of those of yes and no.
    """

    def __init__(self, file: IO[str], base: Path, ranks: int) -> None:
        self._file = file
        self._path = ListPaths(base)
        self._ranks = ranks
        file.write(csv_line(_header(ranks)))

    def write(self, path: str, given: Prediction, answer: str) -> None:
        """The row of a picture with its answer, "" for one withheld. Raises UsageError where its name is not UTF-8."""
        numbers = (given.probability, *_doubt(given))
        ranked = [cell for name, share in given.top(self._ranks) for cell in (quoted_text(name), f"{share:.6f}")]
        self._row(path, [quoted_text(answer), *(f"{number:.6f}" for number in numbers), "", *ranked])

    def fail(self, path: str, error: str) -> None:
        """The row of a picture that has no answer, and why. Raises UsageError where its name is not UTF-8."""
        self._row(path, ["", "", "", "", csv_cell(error), *[""] * 2 * self._ranks])

    def _row(self, path: str, cells: Sequence[str]) -> None:
        place = self._path(path)
        if not is_utf_8(place):
            raise UsageError(f"{path!r}: the name is not valid UTF-8, and no list can hold it", "rename the file")
        self._file.write(csv_line([quoted_text(place), "", *cells]))


def _doubt(given: Prediction) -> tuple[float, float]:
    """Margin and entropy of an answer."""
    probabilities = given.probabilities.astype(np.float64)
    if isinstance(given, MultiLabelPrediction):
        margin = np.abs(probabilities - np.array(given.thresholds)).min()
        probabilities = np.concatenate([probabilities, 1 - probabilities])
    else:
        ordered = np.sort(probabilities)[::-1]
        margin = ordered[0] - ordered[1:2].sum()
    there = probabilities[probabilities > 0]
    # The sum of one term that is 0 is -0.
    return float(margin), abs(float((there * np.log(there)).sum()))


def check_answers_target(target: Path) -> None:
    """Raises, before any work, where answers should or could not be written.

    UsageError: it does not end in .csv, or is there and is no table of answers, or has labels by now.
    OutputError: its folder is not there.
    """
    if target.suffix.lower() != ".csv":
        raise UsageError(f"`out` {target}: answers are a CSV file", "give a name that ends in .csv")
    if not target.parent.is_dir():
        raise OutputError(f"cannot write {target}: {target.parent} is not a folder", "make it first, or choose another")
    if os.path.lexists(target):
        why = _why_kept(target)
        if why:
            raise UsageError(f"`out` {target} is there already, {why}: it is left alone", "name another file")


def _why_kept(target: Path) -> str:
    """Why the file that is there must stay; "" for a table of answers that nobody has worked on."""
    other = "and no table of answers"
    try:
        if not target.is_file():
            return "and is no file"
        with target.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if header != _header((len(header) - len(COLUMNS)) // 2):
                return other
            place = COLUMNS.index("label")
            labelled = sum(len(row) <= place or bool(row[place].strip()) for row in rows)
            return f"with {labelled:,} labels that somebody gave" if labelled else ""
    except (OSError, ValueError, csv.Error):
        return other


def _header(ranks: int) -> list[str]:
    ranked = [f"{name}_{rank}" for rank in range(1, ranks + 1) for name in ("label", "probability")]
    return [*COLUMNS, *ranked]
