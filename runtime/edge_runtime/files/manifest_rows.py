"""The rows of a list of labelled images: CSV as any spreadsheet writes it, or Parquet.

Bounded memory: rows come one after another, no line may be longer than a megabyte, and after a thousand faults
nothing more is read.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from edge_runtime.errors import DataError
from edge_runtime.extras import require_extra
from edge_runtime.files.csv_cells import plain_text
from edge_runtime.files.samples import count_text, names_text

TEXT_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})
PARQUET_SUFFIXES = frozenset({".parquet", ".pq"})
COLUMNS = ("path", "label", "split", "group")
# What `group_by` says where it names no column.
NO_COLUMNS = ("auto", "none")
HINT = "a manifest is UTF-8 text with a header, path,label and perhaps split and group, and one line for each image"

_DELIMITERS = ",;\t"
_LONGEST_LINE = 1 << 20
_FAULTS_SHOWN, _MOST_FAULTS = 5, 1000
_MOST_BLANK = 100_000
_BATCH_ROWS = 4096
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class ManifestRow(NamedTuple):
    """One row: the line it begins on (of Parquet its number, from 1), and its cells, "" where there are none.

    `named` is what the column that groups are named by has, `group` the column of that name; `others` are the cells of
    all other columns as they stand, where they were asked for; `tasks` those of the columns of tasks, likewise.
    """

    line: int
    path: str
    label: str
    split: str
    group: str
    named: str
    others: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


class ManifestTable(NamedTuple):
    """What a manifest's header says; `group_column` is the one that groups are named by, "" where there is none.

    `others` names all columns but path, label (or those of tasks), split and group, where they were asked for.
    """

    group_column: str
    rows: Iterator[ManifestRow]
    others: tuple[str, ...] = ()


class Faults:
    """What is wrong with the rows of `path`, gathered so that a person mends it all at once; `unit` is line or row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unit = "row" if path.suffix.lower() in PARQUET_SUFFIXES else "line"
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, what: str) -> None:
        """One more. Raises DataError with all of them where they are too many to go on."""
        self._found.append((line, what))
        if len(self._found) == _MOST_FAULTS:
            raise self.error(" at least")

    def stop(self, line: int, what: str) -> DataError:
        """One more, which the rest cannot be read beyond, as the error of all."""
        self._found.append((line, what))
        return self.error()

    def check(self) -> None:
        """Raise DataError where there are any: the first five, each with its line, and how many more there are."""
        if self._found:
            raise self.error()

    def error(self, bound: str = "") -> DataError:
        """The error that says them."""
        self._found.sort(key=lambda fault: fault[0])
        shown = "; ".join(f"{self.unit} {line}: {what}" for line, what in self._found[:_FAULTS_SHOWN])
        more = len(self._found) - _FAULTS_SHOWN
        rest = f"; and{bound} {more:,} more" if more > 0 else ""
        return DataError(f"{self.path}, {shown}{rest}", HINT)


def is_manifest(path: Path) -> bool:
    """Whether it is called like a list of labelled images, and is no folder."""
    return path.suffix.lower() in TEXT_SUFFIXES | PARQUET_SUFFIXES and not path.is_dir()


def open_manifest(
    path: Path,
    faults: Faults,
    group_column: str = "",
    *,
    others: bool = False,
    tasks: Sequence[str] = (),
    labelled: bool = True,
) -> ManifestTable:
    """The header of `path`, and its rows, which are read as they are asked for.

    Groups are named by the column `group_column`, or `group` where there is none of that name; `auto` and `none` name
    no column. Blank rows are left out. What is wrong with a row goes to `faults`. With `others` all other columns are
    read, too, but those of a Parquet file that hold bytes or are nested. With `tasks`, the columns of those names are
    read, and no `label` is needed, as where it need not be `labelled`.

    Raises:
        DataError: it cannot be read, is no UTF-8 text or no Parquet file, or lacks a column.
        MissingExtraError: it is Parquet, and pyarrow is not installed.
    """
    parquet = path.suffix.lower() in PARQUET_SUFFIXES
    wanted = group_column.strip().lower()
    asked_for = [name.lower() for name in tasks]
    required = (COLUMNS[0], *asked_for) if tasks or not labelled else COLUMNS[:2]
    asked = None if others else {*COLUMNS, *asked_for, wanted}
    header, rows = _open_parquet(path, asked, required) if parquet else open_text(path, faults)
    names = [name.strip().lower() for name in header]
    other = wanted in names and wanted not in {"", *COLUMNS[:3], *NO_COLUMNS}
    named = wanted if other else "group" if "group" in names else ""
    places = _find_columns(path, names, (*COLUMNS, named, *asked_for), required)
    own = {"path", "split", "group", *(asked_for or COLUMNS)}
    more = [place for place, name in enumerate(names) if name not in own] if others else []
    rest = tuple(header[place] for place in more)
    return ManifestTable(named, _read(rows, places, len(names), faults, more), rest)


def _find_columns(path: Path, names: Sequence[str], wanted: Sequence[str], required: Sequence[str]) -> list[int | None]:
    twice = [name for name in wanted if name and names.count(name) > 1]
    if twice:
        raise DataError(f"{path} has {names.count(twice[0])} columns {twice[0]}", "keep one of them")
    missing = [name for name in required if name not in names]
    if missing:
        there = [name for name in names if name]
        where = "" if path.suffix.lower() in PARQUET_SUFFIXES else "line 1: "
        raise DataError(
            f"{path}, {where}no column {' and no column '.join(missing)}; it has {names_text(there) or 'none'}",
            HINT if tuple(required) == COLUMNS[:2] else "a list has a column path, and one for each of `tasks`",
        )
    # A column without a name, as an index is written, is none that "" asks for.
    return [names.index(name) if name and name in names else None for name in wanted]


def _read(
    rows: Iterator[tuple[int, Sequence[str]]],
    places: Sequence[int | None],
    width: int,
    faults: Faults,
    others: Sequence[int],
) -> Iterator[ManifestRow]:
    path, label, split, group, named, *tasks = places
    blank = 0
    assert path is not None
    for line, row in rows:
        if not any(row):
            blank += 1
            if blank == _MOST_BLANK:
                raise faults.stop(line, f"{blank:,} empty rows so far, which no list has")
        elif len(row) != width:
            faults.add(line, f"{count_text(row, 'field')} instead of {width}")
        else:
            yield ManifestRow(
                line,
                row[path],
                "" if label is None else plain_text(row[label].strip()),
                "" if split is None else row[split].strip(),
                "" if group is None else plain_text(row[group].strip()),
                "" if named is None else plain_text(row[named].strip()),
                tuple(row[place] for place in others),
                tuple(plain_text(row[place].strip()) for place in tasks if place is not None),
            )


def open_text(path: Path, faults: Faults) -> tuple[Sequence[str], Iterator[tuple[int, Sequence[str]]]]:
    """The header of a text table, and its rows, each with the line it begins on, read as they are asked for.

    Raises DataError where it cannot be read, or is no UTF-8 text with a header.
    """

    def lines(file: IO[str]) -> Iterator[str]:
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), start=1):
            if "\0" in line:
                raise faults.stop(number, "a NUL, which no text has")
            if len(line) == _LONGEST_LINE and line[-1] not in "\r\n":
                raise faults.stop(number, "over a million characters without a line end")
            yield line

    def rows() -> Iterator[tuple[int, Sequence[str]]]:
        line = 1
        try:
            # newline="" leaves line ends within quotes as they are.
            with path.open(encoding="utf-8-sig", newline="") as file:
                there = lines(file)
                first = next(there, "")
                delimiter = _delimiter(first)
                yield 1, _cells(first, delimiter)
                reader = csv.reader(there, strict=True, delimiter=delimiter)
                line = 2
                for row in reader:
                    yield line, row
                    line = reader.line_num + 2
        except UnicodeDecodeError:
            raise _undecodable(path, faults) from None
        except csv.Error as error:
            raise faults.stop(line, f"bad quoting ({error})") from None
        except OSError as error:
            raise _unreadable(path, error) from None

    found = rows()
    header = next(found)[1]
    if not any(header):
        raise DataError(f"{path} is empty" if not path.stat().st_size else f"{path}, line 1: no header", HINT)
    return header, found


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return [line.strip()]


def _delimiter(header: str) -> str:
    """The delimiter that finds the columns of the header; a comma where none does."""

    def known(delimiter: str) -> int:
        return len({name.strip().lower() for name in _cells(header, delimiter)} & {*COLUMNS})

    return max(_DELIMITERS, key=known)


def _undecodable(path: Path, faults: Faults) -> DataError:
    """The line of the first byte that is no UTF-8."""
    number = 0
    with path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE):
            number += 1
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                utf_16 = number == 1 and line.startswith(_UTF_16)
                what = "UTF-16" if utf_16 else f"byte 0x{line[error.start]:02x}"
                return faults.stop(number, f"not UTF-8 ({what}): save it as UTF-8")
    return faults.stop(number, "not UTF-8: save it as UTF-8")


def _unreadable(path: Path, error: OSError) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path} does not exist", "check the path")
    return DataError(f"{path} cannot be read: {error.strerror or error}", "check the path and its permissions")


def _open_parquet(
    path: Path, wanted: Collection[str] | None, required: Sequence[str]
) -> tuple[Sequence[str], Iterator[tuple[int, Sequence[str]]]]:
    require_extra("parquet")
    import pyarrow
    from pyarrow import parquet

    def checked(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except OSError as error:
            if isinstance(error, FileNotFoundError | PermissionError):
                raise _unreadable(path, error) from None
            raise DataError(f"{path} is a damaged Parquet file: {error}", "write it again") from None
        except pyarrow.ArrowException as error:
            raise DataError(f"{path} is no Parquet file, or a damaged one: {error}", "write it again") from None

    file = checked(lambda: parquet.ParquetFile(path))
    schema = file.schema_arrow
    plain = [
        name
        for name, kind in zip(schema.names, schema.types, strict=True)
        if not pyarrow.types.is_nested(kind) and not _is_bytes(kind)
    ]
    # The others may be many, and large.
    header = [name for name in plain if wanted is None or name.strip().lower() in wanted]
    if not {*required} <= {name.strip().lower() for name in header}:
        return plain, iter(())

    def rows() -> Iterator[tuple[int, Sequence[str]]]:
        number = 0
        batches = file.iter_batches(_BATCH_ROWS, columns=header)
        while (batch := checked(lambda: next(batches, None))) is not None:
            for row in zip(*(map(_text, column.to_pylist()) for column in batch.columns), strict=True):
                number += 1
                yield number, row

    return header, rows()


def _is_bytes(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def _text(value: object) -> str:
    """The value as a CSV has it; numbers that are whole, as pandas makes them where some are missing, without .0."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
