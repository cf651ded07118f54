"""The data of a run found again: where it was, and listed as training listed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_runtime import ClassFolders, LabelFrom, ModelCard, scan


def run_places(config: Mapping[str, Any]) -> tuple[Path, ...]:
    """The folders and manifests that a run was trained on, as its config.json says; none where it does not."""
    sources = config.get("data_sources") or [config.get("data_root")]
    places = sources if isinstance(sources, list) else ()
    return tuple(Path(place) for place in places if place and isinstance(place, str))


def scan_as_trained(
    data: str | Path | Sequence[str | Path], card: ModelCard, *, label_from: LabelFrom | None = None
) -> ClassFolders:
    """`scan` with the labels of the model, the same column for groups and, by default, the same folder for labels.

    A list's columns are read as those the model was trained on: one label, several, or one for each task.
    """
    own: LabelFrom = "parent" if card.data.get("label_from") == "parent" else "top"
    column = str(card.data.get("group_by") or "")
    return scan(
        data,
        labels=card.labels,
        label_from=label_from or own,
        group_column=column,
        multi_label=card.kind == "multi-label",
        tasks=tuple(task.name for task in card.tasks),
    )
