"""Labelled images from wherever they are: a folder of class folders, a manifest, or several of both as one set."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from edge_runtime.errors import DataError, UsageError
from edge_runtime.files.class_folders import FoundFolders, find_folders, find_images
from edge_runtime.files.labelling import check_task_names
from edge_runtime.files.linked_paths import TruePlaces
from edge_runtime.files.manifest import FoundManifest, find_manifest, find_pictures
from edge_runtime.files.manifest_rows import NO_COLUMNS, is_manifest
from edge_runtime.files.said_labels import require_labels, sort_labels
from edge_runtime.files.samples import ClassFolders, note_alike, note_missing
from edge_runtime.setting_kinds import as_kind
from edge_runtime.settings import LabelFrom

_TWICE_SHOWN = 5


def scan(
    data: str | Path | Sequence[str | Path],
    *,
    labels: Sequence[str] | None = None,
    label_from: LabelFrom = "top",
    group_column: str = "",
    empty_classes: bool = False,
    multi_label: bool = False,
    tasks: Sequence[str] = (),
) -> ClassFolders:
    """List the images of a data folder, a manifest, or several of them, by split and class, without opening any.

    Classes are those of train (or of all, when nothing is split), sorted by name; other splits are aligned to
    them by name. With `labels`, a model's, every split is aligned to those instead, and there may be val
    or test alone. Several places have one set of classes, and all have splits or none. `label_from` "parent" calls a
    class like the folder an image lies in, "top" like the first one below the data folder or its split. A manifest's
    groups are those of its column `group_column`, or of `group` where it has none of that name. With `empty_classes` a
    class, and all of val, may be empty.

    With `multi_label` the cells of a manifest's column `label` have any number of labels, as `cat|dog`; with `tasks`
    each of those columns has one, or none. `labels` are then those of a model of that kind.

    Raises:
        DataError: a folder is missing, unreadable or not laid out as it must be, a manifest has faults, a class is
            unknown, a training class is empty, there are fewer than two, or an image stands in two places; one
            manifest has the column of groups and another has not; or there are to be several labels, and a place is a
            folder.
        UsageError: `multi_label` with `tasks`, or tasks that no column can have.
        MissingExtraError: a manifest is Parquet, and pyarrow is not installed.
    """
    given = as_kind(data, Path | tuple[Path, ...], "`data`")
    places: list[Path] = list(given) if isinstance(given, tuple) else [given]
    if label_from not in get_args(LabelFrom):
        raise UsageError(f"`label_from` {label_from} is not known", f"choose {', '.join(get_args(LabelFrom))}")
    check_task_names(tasks)
    if multi_label and tasks:
        raise UsageError("`multi_label` and `tasks` read the labels in two ways", "drop one of them")
    folder = next((place for place in places if not is_manifest(place)), None)
    if (multi_label or tasks) and folder is not None:
        cells = "path,label, with cells such as cat|dog" if multi_label else f"path,{','.join(tasks)}"
        raise DataError(f"{folder} is a folder, which gives each picture one label", f"name a list: {cells}")
    found = [
        find_manifest(place, group_column, multi_label=multi_label, tasks=tasks)
        if is_manifest(place)
        else find_folders(place, label_from)
        for place in places
    ]
    if not found:
        raise DataError("no data is named", "name a folder or a manifest with `data`")
    if len(found) == 1:
        return found[0].align(labels, empty_classes=empty_classes)
    wanted = group_column.strip().lower()
    _require_column(places, found, "" if wanted in NO_COLUMNS else wanted)
    return _join(places, found, labels, label_from, empty_classes=empty_classes)


def find_all_images(places: Sequence[Path]) -> list[Path]:
    """Every image below the folders among `places`, and those that the manifests name, labelled or not.

    Raises what `find_images` raises of folders, and `scan` of manifests.
    """
    return [each for place in places for each in (find_pictures if is_manifest(place) else find_images)(place)]


def _join(
    places: Sequence[Path],
    found: Sequence[FoundFolders | FoundManifest],
    labels: Sequence[str] | None,
    label_from: LabelFrom,
    *,
    empty_classes: bool,
) -> ClassFolders:
    _require_alike(places, found)
    own = labels is None
    names = next((each.tasks for each in found if isinstance(each, FoundManifest)), ())
    known = list(labels or sort_labels(set().union(*(each.classes for each in found)), names))
    parts = [each.align(known) for each in found]
    roots = [os.path.abspath(part.root) for part in parts]  # noqa: PTH100 (a link may be where a folder is kept)
    try:
        root = os.path.commonpath(roots)
    except ValueError:
        raise DataError(f"{places[0]} and the others lie on several drives", "put them on one") from None
    before = [_prefix(root, each) for each in roots]
    _require_once(places, parts)
    splits = {
        split: tuple(
            sorted(
                (
                    replace(sample, path=prefix + sample.path)
                    for prefix, part in zip(before, parts, strict=True)
                    for sample in part.splits.get(split, ())
                ),
                key=lambda sample: (sample.label, sample.path),
            )
        )
        for split in ("train", "val", "test", "all")
        if any(split in part.splits for part in parts)
    }
    notes = [
        replace(note, path=prefix + note.path, text=note.text if str(place) in note.text else f"{place}: {note.text}")
        for place, prefix, part in zip(places, before, parts, strict=True)
        for note in part.notes
        if note.kind not in {"no-images", "alike-labels"}
    ]
    present = {
        split: {place for sample in samples for place in parts[0].true_places(sample)}
        for split, samples in splits.items()
    }
    if own:
        _require_classes(places, present, known, names, empty_classes)
        notes += note_alike(known)
    for split, there in present.items():
        notes += note_missing("the data" if split == "all" else f"the split {split}", "", there, known)
    return ClassFolders(
        Path(root),
        tuple(known),
        splits,
        tuple(notes),
        _fingerprint(before, parts),
        groups={
            prefix + path: name
            for prefix, part in zip(before, parts, strict=True)
            for path, name in part.groups.items()
        },
        group_column=next((part.group_column for part in parts if part.group_column), ""),
        label_from=label_from,
        inside={
            prefix + sample.path: part.below_class(sample.path)
            for prefix, part in zip(before, parts, strict=True)
            for samples in part.splits.values()
            for sample in samples
        },
        kind=parts[0].kind,
        tasks=parts[0].tasks,
    )


def _require_alike(places: Sequence[Path], found: Sequence[FoundFolders | FoundManifest]) -> None:
    """Raise DataError where some are split and others are not."""
    flat = [place for place, each in zip(places, found, strict=True) if "all" in each.splits]
    split = [place for place in places if place not in flat]
    if flat and split:
        raise DataError(
            f"{split[0]} is split into train, val or test, and {flat[0]} is not",
            "split all of `data`, by folders or by a column, or none of it",
        )


def _require_column(places: Sequence[Path], found: Sequence[FoundFolders | FoundManifest], wanted: str) -> None:
    """Raise DataError where one list has the wanted column of groups and another has not."""
    lists = [
        (place, each.group_column) for place, each in zip(places, found, strict=True) if isinstance(each, FoundManifest)
    ]
    having = [place for place, column in lists if wanted and column == wanted]
    lacking = [place for place, column in lists if column != wanted]
    if having and lacking:
        raise DataError(
            f"{lacking[0]} has no column {wanted!r}, by which {having[0]} is grouped", "add it to all of the lists"
        )


def _require_once(places: Sequence[Path], parts: Sequence[ClassFolders]) -> None:
    true = TruePlaces()
    where: dict[str, int] = {}
    twice: list[str] = []
    # By number: one place may be named twice.
    for number, part in enumerate(parts):
        for samples in part.splits.values():
            for sample in samples:
                first = where.setdefault(true(os.path.join(part.root, sample.path)), number)  # noqa: PTH118
                if first != number:
                    twice.append(f"{sample.path} of {places[number]} stands in {places[first]}, too")
    if twice:
        more = f"; and {len(twice) - _TWICE_SHOWN:,} more" if len(twice) > _TWICE_SHOWN else ""
        raise DataError("; ".join(twice[:_TWICE_SHOWN]) + more, "name each image once")


def _require_classes(
    places: Sequence[Path],
    present: Mapping[str, Collection[int]],
    labels: Sequence[str],
    tasks: Sequence[str],
    empty_classes: bool,
) -> None:
    """Raise DataError unless there are two classes, all of which are present in training."""
    training = present.get("train", present.get("all"))
    names = " and ".join(map(str, places))
    if training is None:
        raise DataError(f"{names} have no image to train on", "add train/CLASS/ or rows of the split train")
    empty = [label for number, label in enumerate(labels) if number not in training]
    if empty and not empty_classes:
        raise DataError(f"{names} have no training image of {empty[0]!r}", "add images, or remove the empty folder")
    if not tasks and len(labels) == 1:
        raise DataError(f"{names} have one class, {labels[0]!r}; a classifier needs at least two", "add another class")
    require_labels(names, labels, tasks)


def _prefix(root: str, place: str) -> str:
    below = os.path.relpath(place, root).replace(os.sep, "/")
    return "" if below == "." else f"{below}/"


def _fingerprint(before: Sequence[str], parts: Sequence[ClassFolders]) -> str:
    """The same in whatever order they are named."""
    lines = sorted(f"{prefix}\t{part.fingerprint}\n" for prefix, part in zip(before, parts, strict=True))
    return f"sha256:{hashlib.sha256(''.join(lines).encode('utf-8', 'surrogatepass')).hexdigest()}"
