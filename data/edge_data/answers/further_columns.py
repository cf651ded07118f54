"""What the data says of an image beside its label: columns that a list of its mistakes goes on with."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from edge_data.sets.held_out import EvaluationData
from edge_runtime import OtherColumns, TruePlaces, is_manifest, quoted_text, read_other_columns


def columns_of(places: Sequence[Path], tasks: Sequence[str] = (), *, multi_label: bool = False) -> OtherColumns | None:
    """The columns that mean nothing here of the one manifest that `places` are; None where they are no such.

    Of several lists each may have others. `tasks` are the columns that stand for the label, if several do; with
    `multi_label` a row without one is an image of none. Raises what `read_other_columns` raises.
    """
    if len(places) == 1 and is_manifest(places[0]) and places[0].is_file():
        return read_other_columns(places[0], multi_label=multi_label, tasks=tasks)
    return None


class FurtherColumns:
    """`split` and `group` where the data has them, then `others`, but those with a name that is in `taken`."""

    def __init__(self, chosen: EvaluationData, taken: Collection[str], others: OtherColumns | None) -> None:
        self._known = [found for found in (("split", chosen.parts), ("group", chosen.groups)) if found[1]]
        self._root = chosen.root
        # The list may name through a link what the run knows without it.
        self._true = TruePlaces()
        self._cells = {self._true(path): cells for path, cells in others.cells.items()} if others else {}
        names = others.names if others else ()
        used = {name.strip().lower() for name in ("path", *taken, "split", "group")}
        self._kept = [place for place, name in enumerate(names) if name.strip().lower() not in used]
        self.names = [*(name for name, _ in self._known), *(names[place] for place in self._kept)]

    def cells(self, path: str) -> list[str]:
        """Those of the image at `path`, relative to the data's root, as a table holds them.

        The others' stay as they stand in the manifest; of an image that is not in it they are empty.
        """
        known = [quoted_text(values.get(path, "")) for _, values in self._known]
        found = self._cells.get(self._true(os.path.join(self._root, path)))  # noqa: PTH118
        return [*known, *(found[place] if found else "" for place in self._kept)]
