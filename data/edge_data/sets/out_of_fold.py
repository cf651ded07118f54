"""The answers of a cross-validated run, read back: every image once, by a network that had not seen it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime import DataError

OUT_OF_FOLD: Final = "out-of-fold.csv"
"""The file in a run folder: `path,label,fold,answer`, and each class's probability in a column `p CLASS`."""

_BEFORE = ("path", "label", "fold", "answer")
_HINT = "use the file that the run wrote, unchanged"


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFold:
    """The answers to N images: `paths` as split.csv has them, their labels as numbers `truth` `[N]`, and
    `probabilities`, float64 `[N, classes]`."""

    labels: tuple[str, ...]
    paths: Sequence[str]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def read_out_of_fold(path: Path) -> OutOfFold:
    """Read what a cross-validated run wrote. Raises DataError naming the file and the line that is wrong."""
    line = 1
    paths, truth, answers = [], [], []
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows, [])
            labels = tuple(name[2:] for name in header[len(_BEFORE) :])
            if tuple(header[: len(_BEFORE)]) != _BEFORE or len(labels) < 2:
                raise DataError(f"{path}, line 1: the header is not {','.join(_BEFORE)} and the classes", _HINT)
            numbers = {label: number for number, label in enumerate(labels)}
            line = 2
            for row in rows:
                if len(row) != len(header):
                    raise ValueError(f"{len(row)} fields instead of {len(header)}")
                place = PurePosixPath(row[0])
                if not row[0] or place.is_absolute() or ".." in place.parts:
                    raise ValueError(f"{row[0]!r} is not a path inside the data folder")
                if row[1] not in numbers:
                    raise ValueError(f"{row[1]!r} is not one of the classes")
                shares = [float(cell) for cell in row[len(_BEFORE) :]]
                if not all(0 <= share <= 1 for share in shares):
                    raise ValueError("a probability that is none")
                paths.append(row[0])
                truth.append(numbers[row[1]])
                answers.append(shares)
                line = rows.line_num + 1
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", _HINT) from None
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}, line {line}: {error}", _HINT) from None
    if not paths:
        raise DataError(f"{path} has no answers", _HINT)
    return OutOfFold(labels, paths, np.array(truth, np.int64), np.array(answers, np.float64))
