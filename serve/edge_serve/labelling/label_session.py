"""One person's labelling: what has been said of which picture, and the way back."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from edge_runtime import DataError, PictureRow, PictureTable, UsageError, natural_key, one_line, plain_text
from edge_serve.labelling.label_file import LabelFile

_LONGEST_LABEL = 200
_MOST_CLASSES = 1_000
# Of a file of a thousand classes the model's second thoughts would fill the page with keys nobody needs.
_MOST_CANDIDATES = 36


@dataclass(frozen=True)
class Figures:
    """What a model said of a picture; None where the table does not say, "" for no answer.

    `label_probability` is that of `of_label`, the label the picture had then.
    """

    answer: str = ""
    probability: float | None = None
    margin: float | None = None
    entropy: float | None = None
    label_probability: float | None = None
    of_label: str = ""


class LabelSession:
    """The labels of a file as they are given, taken back and written, from any thread.

    With `since`, the time in ISO 8601 at which the file that is looked through was made, rows are to be done until a
    person has looked at them after it, whatever label they have: a list of mistakes. Without, until they have a label.
    """

    def __init__(self, file: LabelFile, classes: Sequence[str], since: str | None = None) -> None:
        self.file = file
        self.since = since
        self.classes = [*dict.fromkeys(map(checked_label, classes))]
        self.steps = 0
        self._history: list[list[tuple[int, str, str]]] = []
        self._lock = threading.Lock()

    def is_done(self, row: int) -> bool:
        """Whether nothing is left to do at that row."""
        return bool(self.file.label(row)) if self.since is None else self.file.labelled_at(row) > self.since

    def label(self, labels: Mapping[int, str]) -> list[int]:
        """Give each row its label, "" for none, in one step; the rows that it was about.

        Raises UsageError for a row or a label there cannot be, and what `LabelFile.write` raises.
        """
        wanted = {row: checked_label(label) if label else "" for row, label in labels.items()}
        if not wanted or not all(0 <= row < len(self.file) for row in wanted):
            raise UsageError("there is no such row", "reload the page")
        with self._lock:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            before = [(row, self.file.label(row), self.file.labelled_at(row)) for row in wanted]
            changes = [
                # Where nobody ever said anything, to take a label away leaves no trace.
                (row, label, now if label or self.file.given(row) else "")
                for row, label in wanted.items()
            ]
            self._add_classes([label for label in wanted.values() if label])
            self.file.write(changes)
            self._history.append(before)
            self.steps += 1
        return list(wanted)

    def undo(self) -> list[int]:
        """Take the last step back; the rows that it was about, none where there is no step. Raises as `label` does."""
        with self._lock:
            if not self._history:
                return []
            before = self._history[-1]
            self.file.write(before)
            self._history.pop()
            self.steps += 1
        return [row for row, _, _ in before]

    @property
    def can_undo(self) -> int:
        """How many steps can be taken back."""
        return len(self._history)

    def add_class(self, name: str) -> str:
        """A class more, unless it is there; its name as it is written. Raises UsageError where there can be none."""
        label = checked_label(name)
        with self._lock:
            self._add_classes([label])
        return label

    def _add_classes(self, labels: Sequence[str]) -> None:
        new = [label for label in dict.fromkeys(labels) if label not in self.classes]
        if len(self.classes) + len(new) > _MOST_CLASSES:
            raise UsageError(f"there are {_MOST_CLASSES:,} classes already", "use one of them")
        self.classes += new

    def count_done(self) -> int:
        """How many rows are done."""
        return sum(map(self.is_done, range(len(self.file))))


def checked_label(name: str) -> str:
    """The label as it is written: without outer spaces, in Unicode's composed form.

    Raises UsageError where it is empty, longer than 200 characters, or has control characters.
    """
    label = unicodedata.normalize("NFC", name.strip())
    if not label:
        raise UsageError("a class needs a name")
    if len(label) > _LONGEST_LABEL:
        raise UsageError(f"a class has {len(label)} characters; {_LONGEST_LABEL} are the most")
    if label != one_line(label) or any("\ud800" <= char <= "\udfff" for char in label):
        raise UsageError(f"{label!r} is no name of a class", "leave control characters out")
    return label


def read_figures(source: PictureTable) -> list[Figures]:
    """What the columns `answer`, `probability`, `margin`, `entropy` and `label_probability` say of each row."""
    numbers = ("probability", "margin", "entropy", "label_probability")
    where = {name: source.column(name) for name in ("answer", *numbers, "label")}

    def text(row: PictureRow, name: str) -> str:
        place = where[name]
        return "" if place is None else plain_text(row.cells[place].strip())

    return [
        Figures(
            text(row, "answer"),
            **{name: _number(text(row, name)) for name in numbers},
            of_label=text(row, "label"),
        )
        for row in source.rows
    ]


def find_classes(file: LabelFile, given: Sequence[str], of_model: Sequence[str]) -> list[str]:
    """The classes to offer: those `given`, the model's, then all that the file names, as people count.

    Raises DataError where the file names one that can be none.
    """
    candidates = [name for name in map(str.strip, map(str.lower, file.header)) if name.startswith("label_")]
    seconds: dict[str, int] = {}
    found: dict[str, int] = {}
    for row in range(len(file)):
        for name in (file.label(row), file.cell(row, "answer")):
            found.setdefault(name, row)
        for column in candidates:
            if column[6:].isdigit():
                seconds.setdefault(file.cell(row, column), row)
    if len(found.keys() | seconds.keys()) <= _MOST_CANDIDATES:
        found = seconds | found
    found.pop("", None)
    for name, row in found.items():
        try:
            checked_label(name)
        except UsageError as error:
            where = f"{file.source}, the row of {file.cell(row, 'path')}"
            raise DataError(f"{where}: {error.message}", error.hint or "mend it in the list") from None
    return [*dict.fromkeys((*given, *of_model, *sorted(found, key=natural_key)))]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None
