"""A manifest: a list of labelled images, `path,label` and perhaps `split` and `group`, wherever the images lie.

A cell may have several labels, or each task a column of its own, where that is asked for. Paths are relative to the
manifest's folder, or absolute. Every fault is named with its line before anything is read of an image.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from edge_runtime.errors import DataError, EdgeError
from edge_runtime.files.csv_cells import plain_text
from edge_runtime.files.labelling import SEPARATOR, composed, tasks_of
from edge_runtime.files.manifest_rows import HINT, Faults, ManifestRow, open_manifest
from edge_runtime.files.said_labels import require_labels, said_labels, sort_labels, targets_of
from edge_runtime.files.samples import (
    ClassFolders,
    FolderNote,
    Sample,
    count_text,
    names_text,
    note_alike,
    note_missing,
    split_of,
    true_places,
)
from edge_runtime.model.card_kind import Kind
from edge_runtime.model.task import Task

_SPLITS = ("train", "val", "test", "all")


class _Image(NamedTuple):
    """One labelled image: the line it is named on, its absolute path, and what is said of it."""

    line: int
    path: str
    size_bytes: int
    label: str
    split: str
    group: str
    named: str
    said: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FoundManifest:
    """A manifest as it was read: its images are there, their labels not yet numbered; `tasks` are the names of some."""

    path: Path
    images: Sequence[_Image]
    notes: Sequence[FolderNote]
    group_column: str
    kind: Kind = "single-label"
    tasks: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of its splits, or "all" where it has no column for them."""
        there = {image.split for image in self.images}
        return tuple(split for split in _SPLITS if split in there)

    @property
    def classes(self) -> set[str]:
        """The classes that can be trained on."""
        return {label for image in self.images if image.split in ("train", "all") for label in image.said}

    def align(self, labels: Sequence[str] | None, *, empty_classes: bool = False) -> ClassFolders:  # noqa: ARG002
        """The images by number of their class, its own or one of `labels`. Raises DataError as `scan` does.

        It names no class without an image, so that `empty_classes` says nothing of it.
        """
        if labels is None:
            if "train" not in self.splits and "all" not in self.splits:
                raise DataError(f"{self.path} has rows of {' and '.join(self.splits)}, but none of train", HINT)
            labels = sort_labels(self.classes, self.tasks)
            require_labels(str(self.path), labels, self.tasks)
        tasks = tasks_of(self.tasks, labels)
        root = _root(self.path, self.images)
        start = len(root.rstrip(os.sep)) + 1
        paths = [image.path[start:].replace(os.sep, "/") for image in self.images]
        numbers = _numbers(self.path, self.images, labels)
        splits = _split(self.images, paths, self.kind, numbers, tasks)
        notes = list(self.notes)
        for split, samples in splits.items():
            where = str(self.path) if split == "all" else f"the split {split} of {self.path}"
            present = {place for sample in samples for place in true_places(sample, self.kind, tasks)}
            notes += note_missing(where, "", present, labels)
        return ClassFolders(
            Path(root),
            tuple(labels),
            splits,
            tuple(notes),
            _fingerprint(self.images, paths, self.kind, by_column=self.group_column not in {"", "group"}),
            groups={path: image.named for path, image in zip(paths, self.images, strict=True) if image.named},
            group_column=self.group_column,
            inside={path: path for path in paths},
            kind=self.kind,
            tasks=tasks,
        )


def find_manifest(
    path: Path,
    group_column: str = "",
    *,
    multi_label: bool = False,
    tasks: Sequence[str] = (),
    labels_alone: bool = False,
) -> FoundManifest:
    """Read a manifest, and see that its images are there, without opening any.

    Groups are those of its column `group_column`, or of `group` where it has none of that name. With `multi_label` a
    cell of `label` has any number of labels, with `|` between two; each of `tasks` is a column, and its label may miss.
    With `labels_alone` splits are not read, and rows without a label of any task are left out.

    Raises:
        DataError: the first five faults, each with its line: no such file, one named twice, no or another split than
            train, val or test; a label twice or a missing one in a cell of several, or no task with a label; or it is
            no manifest, or has no labelled image.
        MissingExtraError: it is Parquet, and pyarrow is not installed.
    """
    faults = Faults(path)
    table = open_manifest(path, faults, group_column, tasks=tasks)
    kind: Kind = "multi-label" if multi_label else "multi-task" if tasks else "single-label"
    images: list[_Image] = []
    unlabelled, first_unlabelled = 0, 0
    lines: dict[str, int] = {}
    base = os.path.abspath(path.parent)  # noqa: PTH100 (a link's target is another folder)
    for row in (row._replace(split="") for row in table.rows) if labels_alone else table.rows:
        none = not row.label if kind == "single-label" else labels_alone and bool(tasks) and not any(row.tasks)
        if none and row.path.strip():
            # Counted alone: a list may be of a million pictures that nobody has labelled yet.
            unlabelled += 1
            first_unlabelled = first_unlabelled or row.line
        elif (image := _image(row, base, faults, kind, tasks)) is not None:
            if (first := lines.setdefault(image.path, row.line)) != row.line:
                faults.add(row.line, f"{row.path!r} stands in {faults.unit} {first}, too")
            images.append(image)
    if any(image.split for image in images):
        for image in images:
            if not image.split:
                faults.add(image.line, "no split, where others have one")
    faults.check()
    images = [image if image.split else image._replace(split="all") for image in images]
    if not images:
        if unlabelled:
            raise DataError(
                f"{path}: none of its {unlabelled:,} rows has a label", f"label them with edge label {path}"
            )
        raise DataError(f"{path}: it names no image", HINT)
    notes = _notes(path, images, kind, unlabelled, f"{faults.unit} {first_unlabelled}")
    return FoundManifest(path, images, notes, table.group_column, kind, tuple(tasks))


def find_pictures(path: Path) -> list[Path]:
    """The images that a manifest names, labelled or not, in its order; a column `path` is enough.

    Raises what `find_manifest` raises.
    """
    faults = Faults(path)
    base = os.path.abspath(path.parent)  # noqa: PTH100
    found = [_find_file(row, base, faults) for row in open_manifest(path, faults, labelled=False).rows]
    faults.check()
    return [Path(place) for place, _ in filter(None, found)]


def listed_pictures(path: Path, apart: Callable[[str], str | None]) -> list[str]:
    """As `find_pictures`, but what `apart` makes of a name, such as a URI, is given as it is; None: a file is sought.

    What `apart` raises, an EdgeError, is wrong with that line. Raises what `find_manifest` raises.
    """
    faults = Faults(path)
    base = os.path.abspath(path.parent)  # noqa: PTH100
    found: list[str] = []
    for row in open_manifest(path, faults, labelled=False).rows:
        name = plain_text(row.path.strip())
        try:
            other = apart(name) if name else None
        except EdgeError as error:
            faults.add(row.line, error.message)
            continue
        if other is not None:
            found.append(other)
        elif (file := _find_file(row, base, faults)) is not None:
            found.append(file[0])
    faults.check()
    return found


def find_labels(path: Path, *, multi_label: bool = False, tasks: Sequence[str] = ()) -> Mapping[str, tuple[str, ...]]:
    """What a manifest says of each image that it labels, by its absolute path: its label, or its labels in order.

    Of `tasks` those are `TASK: LABEL`. Splits are not read. Raises what `find_manifest` raises.
    """
    found = find_manifest(path, multi_label=multi_label, tasks=tasks, labels_alone=True)
    return {image.path: image.said for image in found.images}


@dataclass(frozen=True, eq=False)
class OtherColumns:
    """The columns of a manifest that mean nothing here: their names, and their cells by the image's absolute path."""

    names: tuple[str, ...]
    cells: Mapping[str, tuple[str, ...]]


def read_other_columns(path: Path, *, multi_label: bool = False, tasks: Sequence[str] = ()) -> OtherColumns:
    """All columns of a manifest but path, label, split and group, as they stand. Raises what `find_manifest` raises.

    With `tasks` the labels stand in columns of their names, which take the place of label. Rows without a label are
    left out, but with `multi_label`, where they are images of none of the classes.

    A Parquet file's columns of bytes and nested ones are left out.
    """
    faults = Faults(path)
    base = os.path.abspath(path.parent)  # noqa: PTH100
    table = open_manifest(path, faults, others=True, tasks=tasks)
    if not table.others:
        return OtherColumns((), {})
    rows = (row for row in table.rows if multi_label or (any(row.tasks) if tasks else row.label))
    found = [(_find_file(row, base, faults), row.others) for row in rows]
    faults.check()
    return OtherColumns(table.others, {file[0]: cells for file, cells in found if file is not None})


def _image(row: ManifestRow, base: str, faults: Faults, kind: Kind, tasks: Sequence[str]) -> _Image | None:
    """The image of a row, its split "" where none is named; None where something is wrong with it."""
    split = split_of(row.split) if row.split else ""
    if split is None:
        faults.add(row.line, f"{row.split!r} is no split: train, val or test")
    if "\0" in "".join((row.label, row.group, row.named, *row.tasks)):
        faults.add(row.line, "a NUL in it")
    found = _find_file(row, base, faults)
    if split is None or found is None:
        return None
    said = said_labels(row, kind, tasks, faults)
    label = said[0] if kind == "single-label" else SEPARATOR.join(said)
    return _Image(row.line, *found, label, split, row.group, row.named, said)


def _find_file(row: ManifestRow, base: str, faults: Faults) -> tuple[str, int] | None:
    """The absolute path that a row names, and the file's size in bytes; None where there is no such file."""
    found = find_file(row.path, base)
    if isinstance(found, str):
        faults.add(row.line, found)
        return None
    return found


def find_file(named: str, base: str) -> tuple[str, int] | str:
    """The absolute path of a file that a manifest in the folder `base` names, and its size in bytes; or what is wrong.

    Paths may be written with backslashes, as `file:///data/a.jpg`, and with the quote that `quoted_text` puts before a
    formula.
    """
    reason = f"no file {named!r}" if named.strip() else "no path"
    plain = plain_text(named.strip())
    # As it stands first: any name may be that of a file.
    for text in dict.fromkeys((named, named.strip(), plain, *file_uri_paths(plain))):
        for name in (text, text.replace("\\", "/")) if "\\" in text else (text,):
            if not name:
                continue
            place = os.path.join(base, name)  # noqa: PTH118 (Path is 20 times slower, and this runs once a row)
            try:
                found = os.stat(place)  # noqa: PTH116
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:  # ValueError: a NUL, or half a character
                reason = f"{named!r} cannot be read: {getattr(error, 'strerror', None) or error}"
                continue
            if stat.S_ISREG(found.st_mode):
                return _whole(place, found), found.st_size
            reason = f"{named!r} is a folder" if stat.S_ISDIR(found.st_mode) else f"{named!r} is no file"
    return reason


def file_uri_paths(name: str) -> tuple[str, ...]:
    """The paths that `file://…` may mean, as it stands and percent-decoded; none where it is no such URI."""
    scheme, mark, rest = name.partition("://")
    if not mark or scheme.lower() != "file":
        return ()
    path = rest.removeprefix("localhost") if rest.startswith("localhost/") else rest
    return path, unquote(path)


def _whole(place: str, found: os.stat_result) -> str:
    """The path without `.` and `..`; behind a link to a folder `..` is not the folder before it."""
    plain = os.path.normpath(place)
    if ".." not in place:
        return plain
    try:
        if os.path.samestat(os.stat(plain), found):  # noqa: PTH116
            return plain
    except OSError:
        pass
    folder, name = os.path.split(place)
    return os.path.join(os.path.realpath(folder), name)  # noqa: PTH118


def _root(path: Path, images: Sequence[_Image]) -> str:
    """The manifest's folder where all images lie below it, so that more of them leave it as it is; else their own."""
    base = os.path.abspath(path.parent)  # noqa: PTH100
    folders = {os.path.dirname(image.path) for image in images}  # noqa: PTH120
    try:
        common = os.path.commonpath([base, *folders])
        return base if common == base else os.path.commonpath(folders)
    except ValueError:
        raise DataError(f"{path} names images on several drives", "put them on one") from None


def _numbers(path: Path, images: Sequence[_Image], labels: Sequence[str]) -> Mapping[str, int]:
    """The number of each label that stands in the manifest. Raises DataError for those that are not known."""
    known = {composed(label): number for number, label in enumerate(labels)}
    faults = Faults(path)
    for image in images:
        for label in image.said:
            if label not in known:
                where = " in training" if image.split != "all" else ""
                faults.add(image.line, f"label {label!r} is not known{where}: {names_text(labels)}")
    faults.check()
    return known


def _split(
    images: Sequence[_Image], paths: Sequence[str], kind: Kind, numbers: Mapping[str, int], tasks: Sequence[Task]
) -> dict[str, tuple[Sample, ...]]:
    parts: dict[str, list[Sample]] = {split: [] for split in _SPLITS}
    for image, path in zip(images, paths, strict=True):
        if kind == "single-label":
            sample = Sample(path, numbers[image.label])
        else:
            sample = Sample(path, 0, targets_of([numbers[label] for label in image.said], tasks))
        parts[image.split].append(sample)
    return {
        split: tuple(sorted(samples, key=lambda sample: (sample.label, sample.path)))
        for split, samples in parts.items()
        if samples
    }


def _notes(path: Path, images: Sequence[_Image], kind: Kind, unlabelled: int, first: str) -> list[FolderNote]:
    notes = []
    labels = {label for image in images for label in image.said}
    if kind == "multi-label" and (none := sum(not image.said for image in images)):
        text = f"{count_text(range(none), 'row')} of {path} without a label: of none of the classes"
        notes.append(FolderNote("no-label", "", text))
    if kind == "single-label" and (several := next((label for label in sorted(labels) if SEPARATOR in label), "")):
        text = f"{path} has the label {several!r}, one class: train with `multi_label` where those are several labels"
        notes.append(FolderNote("several-labels", "", text))
    if unlabelled:
        rows = "1 row" if unlabelled == 1 else f"{unlabelled:,} rows"
        text = f"left out {rows} of {path} without a label, {first} for one"
        notes.append(FolderNote("no-label", "", text))
    return notes + note_alike(labels)


def _fingerprint(images: Sequence[_Image], paths: Sequence[str], kind: Kind, *, by_column: bool) -> str:
    """With the cells of the column that names the groups where that is another than `group`, which is in it always."""
    digest = hashlib.sha256(b"manifest\n" if kind == "single-label" else f"manifest {kind}\n".encode())
    for path, image in sorted(zip(paths, images, strict=True)):
        said = f"{path}\t{image.size_bytes}\t{image.label}\t{image.split}\t{image.group}"
        said += f"\t{image.named}\n" if by_column else "\n"
        digest.update(said.encode("utf-8", "surrogatepass"))
    return f"sha256:{digest.hexdigest()}"
