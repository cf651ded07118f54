"""The file that labels are written to: the source's table with them in it, whole on the disk after every change."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from edge_runtime import (
    DataError,
    ListPaths,
    OutputError,
    PictureTable,
    TruePlaces,
    UsageError,
    atomic_path,
    csv_line,
    identify_file,
    plain_text,
    quoted_text,
    read_column_names,
    read_picture_table,
)

LABELLED_AT = "labelled_at"
"""When a person gave the label; a file with this column is one that `edge label` wrote."""

_SUFFIXES = (".csv", ".tsv")


def choose_out(source: Path, out: Path | None) -> Path:
    """Where the labels of `source` go: `out`, or `source` where edge wrote it, or labels.csv beside it.

    Raises UsageError where that is no .csv or .tsv, cannot be written, or is there and not of `edge label`.
    """
    if out is None and source.suffix.lower() in _SUFFIXES and not source.is_dir() and _is_own(source):
        out = source
    if out is None:
        # The folder that one stands in has no name to stand beside.
        beside = source.parent if source.name not in ("", "..") else source.resolve().parent
        out = beside / "labels.csv"
        if source.exists() and out.exists() and out.samefile(source):
            out = beside / "labelled.csv"
    if out.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"`out` {out} is no .csv or .tsv file", "name it so, and edge knows it again")
    folder = _written(out).parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"{folder} is no folder that can be written to", "name another file with `out`")
    if os.path.lexists(out) and not _is_own(out):
        raise UsageError(f"{out} is there already, and edge label did not write it", "name another file with `out`")
    return out


def _written(out: Path) -> Path:
    """The file that is written for `out`: the one that a link names, for a rename onto a link replaces the link."""
    return Path(os.path.realpath(out)) if out.is_symlink() else out


def _is_own(path: Path) -> bool:
    # By the header alone: a row that is wrong is told when the table is read.
    try:
        return LABELLED_AT in read_column_names(path)
    except DataError:
        return False


class LabelFile:
    """The table at `out` as it will be written next; `source` is where the list that is shown lies.

    Rows are those of the source, numbered from 0 in its order. Where `out` is there its columns stay, and its rows that
    are not the source's, too; of a picture that both have it holds what a person said before, and in the other columns
    that both have what the source says now.
    """

    def __init__(self, source: PictureTable, out: Path) -> None:
        there = out.exists()
        before = read_picture_table(out, all_may_be_gone=True) if there else PictureTable(out, source.header, ())
        self.path, self.source = out, source.path
        self._seen = identify_file(out)
        self._delimiter = "\t" if out.suffix.lower() == ".tsv" else ","
        columns = _columns(before.header)
        self.header = [*before.header]
        for name in ("label", LABELLED_AT):
            if (name, 0) not in columns:
                # The label beside the path, as `edge data list` writes it.
                where = columns.index(("path", 0)) + 1 if name == "label" and not there else len(columns)
                columns.insert(where, (name, 0))
                self.header.insert(where, name)
        self._where = {name: columns.index((name, 0)) for name, _ in columns}
        self._label, self._stamp = columns.index(("label", 0)), columns.index((LABELLED_AT, 0))
        self._cells: list[list[str]] = []
        numbers = _places(before.header, columns)
        for row in before.rows:
            self._cells.append(_spread(row.cells, numbers, len(columns)))
        self._shown = self._merge(source, columns, _Known(before))
        self._lines = [self._line(cells) for cells in self._cells]
        self._given = [self.label(row) for row in range(len(self._shown))]

    def _merge(self, source: PictureTable, columns: Sequence[tuple[str, int]], known: _Known) -> list[int]:
        """Bring the source's rows in; the number that each has in the file."""
        numbers = _places(source.header, columns)
        own = {columns.index(("path", 0)), self._label, self._stamp}
        moved = source.path.is_file() and source.path.parent.resolve() != self.path.parent.resolve()
        where, named = columns.index(("path", 0)), ListPaths(self.path.parent)
        shown = []
        for row in source.rows:
            cells = _spread(row.cells, numbers, len(columns))
            number = known.find(row.place)
            if number is None:
                if moved:
                    cells[where] = quoted_text(named(row.place))
                shown.append(len(self._cells))
                self._cells.append(cells)
                continue
            mine = self._cells[number]
            for column in numbers:
                if column is not None and column not in own:
                    mine[column] = cells[column]
            if not mine[self._stamp] and (cells[self._label] or cells[self._stamp]):
                mine[self._label], mine[self._stamp] = cells[self._label], cells[self._stamp]
            shown.append(number)
        return shown

    def __len__(self) -> int:
        """How many rows of the source there are."""
        return len(self._shown)

    @property
    def is_part(self) -> bool:
        """Whether it began as a list of mistakes, and has them alone of all the images that they are among."""
        return "label_probability" in self._where

    @property
    def next_step(self) -> str:
        """The command that the labels are for: training, or first to bring mended ones back among the others."""
        if self.is_part:
            return f"edge data list DATA --relabel {self.path} --out FILE.csv, then edge train --data FILE.csv"
        return f"edge train --data {self.path}"

    def label(self, row: int) -> str:
        """The label of a row, "" where it has none."""
        return plain_text(self._cells[self._shown[row]][self._label].strip())

    def labelled_at(self, row: int) -> str:
        """When a person said so, as ISO 8601 in UTC; "" where nobody has."""
        return self._cells[self._shown[row]][self._stamp].strip()

    def cell(self, row: int, column: str) -> str:
        """The text of another cell; "" where there is no such column."""
        where = self._where.get(column)
        return "" if where is None else plain_text(self._cells[self._shown[row]][where].strip())

    def write(self, changes: Iterable[tuple[int, str, str]]) -> None:
        """Give rows another label and time, as (row, label, labelled_at), and have the whole file on the disk.

        Raises OutputError where it cannot be written, or something else wrote it meanwhile; nothing is changed then.
        """
        if identify_file(self.path) != self._seen:
            raise OutputError(
                f"{self.path} was changed by something else", "nothing is lost: start edge label again to go on from it"
            )
        kept: dict[int, tuple[list[str], str]] = {}
        try:
            for row, label, stamp in changes:
                number = self._shown[row]
                kept.setdefault(number, (self._cells[number], self._lines[number]))
                cells = [*self._cells[number]]
                if plain_text(cells[self._label].strip()) != label:
                    cells[self._label] = quoted_text(label)
                cells[self._stamp] = stamp
                self._cells[number], self._lines[number] = cells, self._line(cells)
            text = self._line(self.header) + "".join(self._lines)
            with atomic_path(_written(self.path)) as temporary:
                temporary.write_text(text, encoding="utf-8", newline="")
        except BaseException:
            for number, (cells, line) in kept.items():
                self._cells[number], self._lines[number] = cells, line
            raise
        self._seen = identify_file(self.path)

    def given(self, row: int) -> str:
        """The label that a row had when the file was opened."""
        return self._given[row]

    def _line(self, cells: Sequence[str]) -> str:
        return csv_line(cells, self._delimiter)


class _Known:
    """The rows of a table by their pictures, under whatever path they are asked for."""

    def __init__(self, table: PictureTable) -> None:
        self._true = TruePlaces()
        self._named = {row.place: number for number, row in enumerate(table.rows)}
        self._lying: dict[str, int] = {}
        for number, row in enumerate(table.rows):
            self._lying.setdefault(self._true(row.place), number)

    def find(self, place: str) -> int | None:
        """The row of that very path, else that of the same file behind a link to its folder, else None."""
        number = self._named.get(place)
        return self._lying.get(self._true(place)) if number is None else number


def _columns(header: Sequence[str]) -> list[tuple[str, int]]:
    """What tells columns apart: the name, and how many of that name stand before; tables come with several unnamed."""
    count: Counter[str] = Counter()
    columns = []
    for name in header:
        plain = name.strip().lower()
        columns.append((plain, count[plain]))
        count[plain] += 1
    return columns


def _places(header: Sequence[str], columns: Sequence[tuple[str, int]]) -> list[int | None]:
    """Where each column of `header` stands among `columns`; None where it is not one of them."""
    where = {column: number for number, column in enumerate(columns)}
    return [where.get(column) for column in _columns(header)]


def _spread(cells: Sequence[str], numbers: Sequence[int | None], width: int) -> list[str]:
    spread = [""] * width
    for number, cell in zip(numbers, cells, strict=True):
        if number is not None:
            spread[number] = cell
    return spread
