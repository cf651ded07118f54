"""The split.csv of a run: which image trains, which validates, which tests, and what is true of it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge_data.sets.label_cells import label_cells, label_columns
from edge_data.sets.splits import Splits
from edge_runtime import (
    SEPARATOR,
    DataError,
    Kind,
    Sample,
    Task,
    atomic_path,
    composed,
    joint_label,
    targets_of,
    tasks_of,
)

_NAMES = ("train", "val", "test")
_HEADER = ["split", "label", "path", "group"]
# Of pictures with any number of labels, and, with a column for each after these, of those with several tasks.
_SEVERAL_HEADER = ["split", "labels", "path", "group"]
_TASKS_HEADER = ["split", "path", "group"]


def write_split(path: Path, splits: Splits, labels: Sequence[str]) -> None:
    """Write `split,label,path,group`, one row per image, labels by name. Raises OutputError when it cannot.

    Several labels of a picture stand in a column `labels`, with `|` between two; each task has a column of its own.
    """
    several = splits.kind == "multi-label"
    header = [*_TASKS_HEADER, *label_columns(splits.tasks)] if splits.tasks else _HEADER

    def row(name: str, each: Sample) -> tuple[str, ...]:
        group = splits.groups.get(each.path, "")
        cells = label_cells(each, labels, splits.kind, splits.tasks)
        return (name, each.path, group, *cells) if splits.tasks else (name, *cells, each.path, group)

    # The names are raw, those that are not UTF-8 and those a spreadsheet would compute, too: they name files that exist
    # and are read back.
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        rows = csv.writer(file)
        rows.writerow(_SEVERAL_HEADER if several else header)
        for name in _NAMES:
            rows.writerows(row(name, each) for each in getattr(splits, name))


def read_split(path: Path, labels: Sequence[str]) -> Splits:
    """Read what `write_split` wrote, now or before there were groups; of several tasks `labels` are those of all.

    Raises DataError naming the file and the line that is wrong.
    """
    splits: dict[str, list[Sample]] = {name: [] for name in _NAMES}
    seen: set[str] = set()
    groups: dict[str, str] = {}
    line = 1
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows, None)
            reader = _RowReader.of(path, header, labels)
            line = 2
            for row in rows:
                name, sample, group = reader.read(line, row)
                if sample.path in seen:
                    raise _bad_line(path, line, f"{sample.path!r} is listed twice")
                seen.add(sample.path)
                splits[name].append(sample)
                if group:
                    groups[sample.path] = group
                line = rows.line_num + 1  # a row with newlines in a name spans several
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "give the split.csv of a run") from None
    except csv.Error as error:
        raise _bad_line(path, line, str(error)) from None
    train, val, test = (tuple(splits[name]) for name in _NAMES)
    return Splits(
        train, val, test, f"read from {path.name}", groups=groups, kind=reader.kind, tasks=tuple(reader.tasks)
    )


@dataclass(frozen=True, slots=True)
class _RowReader:
    """Reads the rows of the split.csv at `path`, whose header says what its pictures have."""

    path: Path
    width: int
    numbers: Mapping[str, int]
    kind: Kind = "single-label"
    tasks: Sequence[Task] = ()

    @classmethod
    def of(cls, path: Path, header: Sequence[str] | None, labels: Sequence[str]) -> _RowReader:
        """The reader of a file with that header. Raises DataError where it is none."""
        # Of the other form of Unicode where a run is of an older edge than the labels, an ensemble's member say.
        numbers = {composed(label): number for number, label in enumerate(labels)}
        numbers |= {label: number for number, label in enumerate(labels)}
        if header is not None and header in (_HEADER, _HEADER[:3]):
            return cls(path, len(header), numbers)
        if header == _SEVERAL_HEADER:
            return cls(path, len(header), numbers, "multi-label")
        if header is not None and header[:3] == _TASKS_HEADER and len(header) > 3:
            return cls(path, len(header), numbers, "multi-task", tasks_of(header[3:], labels))
        raise _bad_line(path, 1, f"the header is not {','.join(_HEADER)}")

    def read(self, line: int, row: list[str]) -> tuple[str, Sample, str]:
        """The split of a row's image, the image, and its group, "" where it is in none. Raises DataError."""
        if len(row) != self.width:
            raise _bad_line(self.path, line, f"{len(row)} fields instead of {self.width}")
        if self.kind == "multi-task":
            name, file, group, *cells = row
            said = [joint_label(task.name, cell) for task, cell in zip(self.tasks, cells, strict=True) if cell]
        else:
            name, cell, file, group = (*row, "")[:4]
            said = [cell] if self.kind == "single-label" else cell.split(SEPARATOR) if cell else []
        said = [label if label in self.numbers else composed(label) for label in said]
        if name not in _NAMES:
            raise _bad_line(self.path, line, f"{name!r} is not a split: train, val or test")
        for label in said:
            if label not in self.numbers:
                raise _bad_line(self.path, line, f"{label!r} is not one of the classes")
        place = PurePosixPath(file)
        if not file or place.is_absolute() or ".." in place.parts:
            raise _bad_line(self.path, line, f"{file!r} is not a path inside the data folder")
        places = [self.numbers[label] for label in said]
        if self.kind == "single-label":
            return name, Sample(file, places[0]), group
        return name, Sample(file, 0, targets_of(places, self.tasks)), group


def _bad_line(path: Path, line: int, why: str) -> DataError:
    return DataError(f"{path}, line {line}: {why}", "use the split.csv that the run wrote, unchanged")
