"""The manifest of a data set: what its folders say of each image, as a table that a spreadsheet opens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from edge_data.sets.label_cells import label_cells, label_columns
from edge_runtime import ClassFolders, DataError, OtherColumns, csv_line, quoted_text, require_utf_8, way


def list_images(
    folders: ClassFolders, base: Path, *, delimiter: str = ",", others: OtherColumns | None = None
) -> Iterator[str]:
    """The lines of a manifest, `path,label` and, where there are any, `split` and `group`, then the `others`.

    Several labels of an image have `|` between two, and each task has a column of its own instead of `label`.

    Paths are relative to `base`. What a spreadsheet would compute has a quote before it, which `scan` takes away again;
    cells of other columns stay as they are.

    Raises:
        DataError: a path or a label that a manifest cannot hold.
    """
    before = way(folders.root, base)
    # Where `base` lies below the root, no way up is needed for what lies below it, too; "/" begins no path.
    inside = way(base, folders.root) if before.startswith(os.pardir) else ""
    inside = "/" if not inside or inside.startswith(os.pardir) else inside
    split, groups = "all" not in folders.splits, folders.groups
    _require_text(folders)
    require_utf_8([before])
    known = ["path", *label_columns(folders.tasks), *(["split"] if split else []), *(["group"] if groups else [])]
    yield csv_line([*known, *(others.names if others else ())], delimiter)
    for name, samples in folders.splits.items():
        for sample in samples:
            cells = [
                sample.path[len(inside) :] if sample.path.startswith(inside) else before + sample.path,
                *label_cells(sample, folders.labels, folders.kind, folders.tasks),
            ]
            cells += [name] if split else []
            cells += [groups.get(sample.path, "")] if groups else []
            more = others.cells[os.path.join(folders.root, sample.path)] if others and others.names else ()  # noqa: PTH118
            yield csv_line([*map(quoted_text, cells), *more], delimiter)


def _require_text(folders: ClassFolders) -> None:
    require_utf_8([sample.path for samples in folders.splits.values() for sample in samples])
    outer = [label for label in folders.labels if label != label.strip()]
    if outer:
        raise DataError(f"the class {outer[0]!r} begins or ends with a space", "rename its folder")
