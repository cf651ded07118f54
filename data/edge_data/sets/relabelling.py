"""Labels that a person mended, put in the place of those that the data has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_runtime import (
    ClassFolders,
    DataError,
    Sample,
    TruePlaces,
    find_labels,
    joint_label,
    sort_labels,
    targets_of,
    tasks_of,
)

_SHOWN = 5


def relabel(folders: ClassFolders, mended: Path) -> tuple[ClassFolders, int]:
    """`folders` with the labels that the list `mended` has for some images, and of how many they are other ones now.

    Its rows without a label change nothing; nor does a task without one, while a row without any of several labels says
    that the image has none. A class that has lost all its images is gone, a new one is added.

    Raises:
        DataError: the list has faults, no labels, an image that the data lacks, or two labels for one by two ways.
    """
    true, tasks = TruePlaces(), [task.name for task in folders.tasks]
    given = _by_place(folders, mended, true, tasks)
    unknown = dict(given)
    changed = 0
    named: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for split, samples in folders.splits.items():
        rows = named.setdefault(split, [])
        for sample in samples:
            before = tuple(folders.labels[place] for place in folders.true_places(sample))
            place = true(os.path.join(folders.root, sample.path))  # noqa: PTH118 (runs once an image)
            said = _kept(given.get(place, before), before, tasks)
            unknown.pop(place, None)
            changed += {*said} != {*before}
            rows.append((said, sample.path))
    if unknown:
        names = ", ".join(list(unknown)[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN:,} more" if len(unknown) > _SHOWN else ""
        raise DataError(f"{mended} names images that the data lacks: {names}{more}", "name all data that they are from")
    known = sort_labels({label for rows in named.values() for said, _ in rows for label in said}, tasks)
    made = replace(folders, labels=tuple(known), splits={}, tasks=tasks_of(tasks, known))
    numbers = {label: number for number, label in enumerate(known)}
    splits = {
        split: tuple(
            sorted(
                (_sample(made, path, [numbers[label] for label in said]) for said, path in rows),
                key=lambda sample: (sample.label, sample.path),
            )
        )
        for split, rows in named.items()
    }
    return replace(made, splits=splits), changed


def _by_place(
    folders: ClassFolders, mended: Path, true: TruePlaces, tasks: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The labels of each image by its true place: the list may name it through a link, and the data not."""
    found: dict[str, tuple[str, ...]] = {}
    for path, said in find_labels(mended, multi_label=folders.kind == "multi-label", tasks=tasks).items():
        first = found.setdefault(true(path), said)
        if first != said:
            two = " and ".join(repr("|".join(each)) for each in (first, said))
            raise DataError(
                f"{mended} gives {true(path)} two labels, {two}, by two ways that lead to it",
                "keep one of the two rows",
            )
    return found


def _kept(said: tuple[str, ...], before: tuple[str, ...], tasks: Sequence[str]) -> tuple[str, ...]:
    """What is said, with the labels from before of the tasks of which nothing is."""
    rest = [task for task in tasks if not any(label.startswith(joint_label(task, "")) for label in said)]
    return (*said, *(label for label in before if label.startswith(tuple(joint_label(task, "") for task in rest))))


def _sample(folders: ClassFolders, path: str, places: Sequence[int]) -> Sample:
    if folders.kind == "single-label":
        return Sample(path, places[0])
    return Sample(path, 0, targets_of(places, folders.tasks))
