"""Labels that a person mended, put in the place of those that the data has."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from edge_runtime import ClassFolders, DataError, Sample, TruePlaces, find_labels

_SHOWN = 5


def relabel(folders: ClassFolders, mended: Path) -> tuple[ClassFolders, int]:
    """`folders` with the labels that the list `mended` has for some of its images, and how many are other ones now.

    Its rows without a label change nothing. A class that has lost all its images is gone, a new one is added.

    Raises:
        DataError: the list has faults, no labels, an image that the data lacks, or two labels for one by two ways.
    """
    true = TruePlaces()
    given = _by_place(mended, true)
    unknown = dict(given)
    changed = 0
    named: dict[str, list[tuple[str, str]]] = {}
    for split, samples in folders.splits.items():
        rows = named.setdefault(split, [])
        for sample in samples:
            before = folders.labels[sample.label]
            place = true(os.path.join(folders.root, sample.path))  # noqa: PTH118 (runs once an image)
            label = given.get(place, before)
            unknown.pop(place, None)
            changed += label != before
            rows.append((label, sample.path))
    if unknown:
        names = ", ".join(list(unknown)[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN:,} more" if len(unknown) > _SHOWN else ""
        raise DataError(f"{mended} names images that the data lacks: {names}{more}", "name all data that they are from")
    known = sorted({label for rows in named.values() for label, _ in rows})
    numbers = {label: number for number, label in enumerate(known)}
    splits = {
        split: tuple(Sample(path, numbers[label]) for label, path in sorted(rows)) for split, rows in named.items()
    }
    return replace(folders, labels=tuple(known), splits=splits), changed


def _by_place(mended: Path, true: TruePlaces) -> dict[str, str]:
    """The label of each image by its true place: the list may name it through a link, and the data not."""
    found: dict[str, str] = {}
    for path, label in find_labels(mended).items():
        first = found.setdefault(true(path), label)
        if first != label:
            raise DataError(
                f"{mended} gives {true(path)} two labels, {first!r} and {label!r}, by two ways that lead to it",
                "keep one of the two rows",
            )
    return found
