"""What each picture of a data set looks like, as small as tells copies from others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_data.sets.look_cache import keep, recall, stamps
from edge_data.sets.look_records import SIDE_PX, channels, see_all, shrink, unpack
from edge_runtime import Progress


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """N pictures: `digests` of the files' bytes, b"" where one cannot be read; `luma` [N, 16, 16] uint8 and `chroma`
    [N, 4, 4, 2] uint8 of the upright pictures, all 0 where one cannot be decoded.
    """

    digests: tuple[bytes, ...]
    luma: NDArray[np.uint8]
    chroma: NDArray[np.uint8]


class LookBook:
    """Looks of pictures that something else decodes, by path; threads may share it. It knows nothing of their files."""

    def __init__(self) -> None:
        self._small: dict[str, NDArray[np.uint8]] = {}

    def add(self, path: str, picture: Image.Image) -> None:
        """Keep what the upright RGB `picture` looks like."""
        self._small[path] = shrink(picture)

    def update(self, other: LookBook) -> None:
        """Take over all that another book has."""
        self._small.update(other._small)

    def looks(self, paths: Sequence[str]) -> Looks:
        """The looks of `paths`, in order; those that were never added match nothing."""
        none = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
        luma, chroma = channels(np.stack([self._small.get(path, none) for path in paths]))
        return Looks((b"",) * len(paths), luma, chroma)


def look_at(root: Path, paths: Sequence[str], progress: Progress, *, threads: int) -> Looks:
    """The looks of the files at `paths`, posix and relative to `root`, in order; none raises.

    Those of large folders are kept in the cache, by path, size and time of the last change.
    """
    now = stamps(root, paths)
    records, missing = recall(root, paths, now)
    if not len(missing):
        return Looks(*unpack(records))
    progress.begin("comparing images", len(missing))
    try:
        for place, some in see_all(root, [paths[row] for row in missing], threads=threads):
            records[missing[place]] = some
            progress.advance(len(some))
    finally:
        progress.end()
    keep(root, paths, now, records, new=len(missing))
    return Looks(*unpack(records))
