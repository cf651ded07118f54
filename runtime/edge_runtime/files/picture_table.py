"""A table of pictures with all its columns, labelled or not, as it is read to be written again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edge_runtime.errors import DataError
from edge_runtime.files.csv_cells import quoted_text
from edge_runtime.files.list_paths import ListPaths, require_utf_8
from edge_runtime.files.manifest import find_file
from edge_runtime.files.manifest_rows import PARQUET_SUFFIXES, Faults, open_text
from edge_runtime.files.samples import count_text
from edge_runtime.files.walk import is_image, walk_folder

_HINT = "name a CSV file with a column path, or a folder of pictures"


class PictureRow(NamedTuple):
    """One picture: the cells as they stand in the file, its absolute path, and what is wrong with it.

    `problem` is "" where there is such a file; else `place` is the path where it was looked for.
    """

    cells: tuple[str, ...]
    place: str
    problem: str


@dataclass(frozen=True, eq=False)
class PictureTable:
    """The table at `path`: a name for each column, and its rows, each with as many cells."""

    path: Path
    header: tuple[str, ...]
    rows: Sequence[PictureRow]

    def column(self, name: str) -> int | None:
        """The place of the column of that name, whatever its letter case; None where there is none."""
        names = [header.strip().lower() for header in self.header]
        return names.index(name) if name in names else None


def read_column_names(path: Path) -> list[str]:
    """The columns of the table at `path`, in small letters. Raises DataError where it has no header to be read."""
    header, _ = open_text(path, Faults(path))
    return [name.strip().lower() for name in header]


def read_picture_table(path: Path, *, all_may_be_gone: bool = False) -> PictureTable:
    """The CSV, `;` or tab separated file at `path`; blank lines are left out.

    Raises:
        DataError: it cannot be read, has no column `path` or two of `path` or `label`, names no picture that is there
            unless `all_may_be_gone`; or, with their lines, rows of another length, without a path, or with a path that
            stands there twice.
    """
    if path.suffix.lower() in PARQUET_SUFFIXES:
        raise DataError(f"{path} is Parquet, which is read here as CSV alone", "write it as CSV")
    faults = Faults(path)
    header, lines = open_text(path, faults)
    names = [name.strip().lower() for name in header]
    for name in ("path", "label"):
        if names.count(name) > 1:
            raise DataError(f"{path} has {names.count(name)} columns {name}", "keep one of them")
    if "path" not in names:
        raise DataError(f"{path}, line 1: no column path", _HINT)
    where = names.index("path")
    base = os.path.abspath(path.parent)  # noqa: PTH100 (a link's target is another folder)
    rows: list[PictureRow] = []
    known: dict[str, int] = {}
    for line, cells in lines:
        if not any(cells):
            continue
        if len(cells) != len(header):
            faults.add(line, f"{count_text(cells, 'field')} instead of {len(header)}")
            continue
        if not cells[where].strip():
            faults.add(line, "no path")
            continue
        row = _row(tuple(cells), cells[where], base)
        if (first := known.setdefault(row.place, line)) != line:
            faults.add(line, f"{cells[where]!r} stands in line {first}, too")
        rows.append(row)
    faults.check()
    table = PictureTable(path, tuple(header), rows)
    return table if all_may_be_gone else _checked(table)


def list_pictures(folder: Path, base: Path) -> PictureTable:
    """The pictures below `folder` as a table with a column `path`, relative to the folder `base`, in natural order.

    Raises DataError where a folder cannot be read, there is no picture, or a name is no UTF-8.
    """
    start = os.path.abspath(folder)  # noqa: PTH100 (a link's target is another folder)
    places = [path for path in walk_folder(start) if is_image(path)]
    require_utf_8(places)
    named = ListPaths(base)
    rows = [PictureRow((quoted_text(named(place)),), place, "") for place in places]
    return _checked(PictureTable(folder, ("path",), rows))


def _row(cells: tuple[str, ...], named: str, base: str) -> PictureRow:
    found = find_file(named, base)
    if isinstance(found, str):
        return PictureRow(cells, os.path.normpath(os.path.join(base, named.strip())), found)  # noqa: PTH118
    return PictureRow(cells, found[0], "")


def _checked(table: PictureTable) -> PictureTable:
    if all(row.problem for row in table.rows):
        count = len(table.rows)
        what = f"none of its {count:,} pictures is there" if count else "there is no picture"
        hint = "paths are relative to the file's own folder, or absolute" if count else _HINT
        raise DataError(f"{table.path}: {what}", hint)
    return table
