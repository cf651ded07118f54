"""Labels that a person mended, put in the place of those that the data has."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from edge_runtime import ClassFolders, DataError, Sample, find_labels

_SHOWN = 5


def relabel(folders: ClassFolders, mended: Path) -> tuple[ClassFolders, int]:
    """`folders` with the labels that the list `mended` has for some of its images, and how many are other ones now.

    Its rows without a label change nothing. A class that has lost all its images is gone, a new one is added.

    Raises:
        DataError: the list has faults, no labels, or an image that the data lacks.
    """
    labels = dict(find_labels(mended))
    root = os.path.abspath(folders.root)  # noqa: PTH100 (a link's target is another folder)
    changed = 0
    named: dict[str, list[tuple[str, str]]] = {}
    for split, samples in folders.splits.items():
        rows = named.setdefault(split, [])
        for sample in samples:
            before = folders.labels[sample.label]
            label = labels.pop(os.path.join(root, sample.path), before)  # noqa: PTH118 (runs once an image)
            changed += label != before
            rows.append((label, sample.path))
    if labels:
        names = ", ".join(list(labels)[:_SHOWN])
        more = f" and {len(labels) - _SHOWN:,} more" if len(labels) > _SHOWN else ""
        raise DataError(f"{mended} names images that the data lacks: {names}{more}", "name all data that they are from")
    known = sorted({label for rows in named.values() for label, _ in rows})
    numbers = {label: number for number, label in enumerate(known)}
    splits = {
        split: tuple(Sample(path, numbers[label]) for label, path in sorted(rows)) for split, rows in named.items()
    }
    return replace(folders, labels=tuple(known), splits=splits), changed
