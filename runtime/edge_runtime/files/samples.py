"""Labelled images as folders and manifests give them: which there are, of which class, in which split."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge_runtime.files.labelling import MISSING
from edge_runtime.model.card_kind import Kind
from edge_runtime.model.task import Task, task_slices
from edge_runtime.settings import LabelFrom

_SPLIT_OF = {
    "train": "train",
    "training": "train",
    "val": "val",
    "dev": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
NAMES_SHOWN = 20


def split_of(name: str) -> str | None:
    """The split that a folder's name or a cell means, such as `Test` or `training_set`; None where it is none."""
    return _SPLIT_OF.get(re.sub(r"[-_ ]?(set|data)$", "", name.lower()))


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image: `path` is posix and relative to the data root, `label` indexes the labels.

    Where a picture may have several labels, `label` is 0 and `targets` says which: of "multi-label" data the places of
    its labels in order, maybe none; of "multi-task" data its class in each task, -1 where it has no label for one.
    """

    path: str
    label: int
    targets: tuple[int, ...] = ()


def true_places(sample: Sample, kind: Kind, tasks: Sequence[Task] = ()) -> tuple[int, ...]:
    """The places in the labels of what is true of `sample`: one, any number, or one for each task with a label."""
    if kind == "single-label":
        return (sample.label,)
    if kind == "multi-label":
        return sample.targets
    given = zip(task_slices(tasks), sample.targets, strict=True)
    return tuple(own.start + target for (_, own), target in given if target != MISSING)


@dataclass(frozen=True, slots=True)
class FolderNote:
    """What a person must be told of a data folder: `text` is a sentence, `path` posix and relative, "" for the root.

    Kinds: `beside-splits`, folders beside train/; `loose-images` beside class folders; `other-files` that are no
    images; `no-split`, a split folder without images; `no-images` of a class; `empty-class`, a folder of no known one;
    `inner-split`, a folder such as train/ that is read as any other; `same-folders` in each class folder, which may be
    the classes, `splits-as-classes` where the class folders are called like splits as well; `alike-labels`, which
    differ in letter case alone; of manifests, `no-label`, rows without one, and `several-labels`, one label's name
    that looks like many.
    """

    kind: Literal[
        "beside-splits",
        "loose-images",
        "other-files",
        "no-split",
        "no-images",
        "empty-class",
        "inner-split",
        "same-folders",
        "splits-as-classes",
        "no-label",
        "alike-labels",
        "several-labels",
    ]
    path: str
    text: str


@dataclass(frozen=True)
class ClassFolders:
    """A data folder, a manifest or several of them, listed but not opened.

    `splits` has keys among "train", "val", "test", or the single key "all" where nothing is split; samples
    are ordered by label, then path, which is relative to `root`. `fingerprint` is "sha256:"
    and the hex digest over the sorted lines "path TAB size in bytes", with what a manifest says of each.
    `groups` are those of a manifest's column `group_column` by path, where it has one and a row names one.
    `inside` is the part of each path below its class, where that does not follow from `label_from`. `kind` says what
    the labels mean; of "multi-task" data `labels` are those of all `tasks`, as their `card_labels`.
    """

    root: Path
    labels: tuple[str, ...]
    splits: Mapping[str, tuple[Sample, ...]]
    notes: tuple[FolderNote, ...]
    fingerprint: str
    groups: Mapping[str, str] = field(default_factory=dict)
    group_column: str = ""
    label_from: LabelFrom = "top"
    inside: Mapping[str, str] = field(default_factory=dict)
    kind: Kind = "single-label"
    tasks: tuple[Task, ...] = ()

    def true_places(self, sample: Sample) -> tuple[int, ...]:
        """The places in `labels` of what is true of one of its samples."""
        return true_places(sample, self.kind, self.tasks)

    @property
    def is_one_folder(self) -> bool:
        """Whether the splits are folders below `root`, which name them."""
        return not self.inside

    def below_class(self, path: str) -> str:
        """The part of a sample's path below the folder of its class.

        Below the root or the split where the class is the folder an image lies in, and all of it in a manifest.
        """
        if self.inside:
            return self.inside[path]
        levels = (self.label_from == "top") + ("all" not in self.splits)
        return path.split("/", levels)[-1]


def note_missing(where: str, path: str, present: Collection[int], labels: Sequence[str]) -> list[FolderNote]:
    """A note on the labels that are not `present`, by their places, in what `where` calls and `path` finds, if any."""
    missing = [label for number, label in enumerate(labels) if number not in present]
    if not missing:
        return []
    text = f"{where} has no images of {count_text(missing, 'class')}: {names_text(missing)}"
    return [FolderNote("no-images", path, text)]


def note_alike(labels: Collection[str]) -> list[FolderNote]:
    """A note on the labels that differ in letter case alone, if any."""
    spellings: dict[str, set[str]] = {}
    for label in labels:
        spellings.setdefault(label.casefold(), set()).add(label)
    alike = [name for names in spellings.values() if len(names) > 1 for name in sorted(names)]
    text = f"labels that differ in letter case alone are classes of their own: {names_text(alike)}"
    return [FolderNote("alike-labels", "", text)] if alike else []


def count_text(things: Sequence[object], noun: str) -> str:
    """`2 images`, `1 class`."""
    plural = "classes" if noun == "class" else f"{noun}s"
    return f"{len(things)} {noun if len(things) == 1 else plural}"


def names_text(names: Sequence[str]) -> str:
    """The names one after another, twenty at most."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(map(repr, names[:NAMES_SHOWN])) + more
