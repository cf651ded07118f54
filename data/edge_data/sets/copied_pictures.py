"""Pictures of a data folder found again in a copy of it, which may have had others added or taken away."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CopiedPictures:
    """Paths in both folders: `alike` are byte for byte the same, of `gone` the older file is not there to compare."""

    alike: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


def find_copies(before: str | Path, now: str | Path, paths: Iterable[str]) -> CopiedPictures:
    """Which of `paths` below `before` are below `now`, too; none where that is the same folder."""
    if os.path.realpath(before) == os.path.realpath(now):
        return CopiedPictures()
    alike, gone = set(), set()
    for path in paths:
        older, newer = (os.path.join(root, path) for root in (before, now))  # noqa: PTH118 (Path is 20 times slower)
        if not os.path.isfile(newer):  # noqa: PTH113
            continue
        try:
            if filecmp.cmp(older, newer, shallow=False):
                alike.add(path)
        except OSError:
            gone.add(path)
    return CopiedPictures(frozenset(alike), frozenset(gone))
