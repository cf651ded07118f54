"""What each picture of a data set looks like, as small as tells copies from others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_data.sets.look_cache import keep, recall, stamps
from edge_data.sets.look_records import DIGEST_BYTES, SIDE_PX, channels, see_all, shrink, unpack
from edge_runtime import Progress


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """N pictures: `digests` of the files' bytes, or of the decoded pixels, b"" where one cannot be read; `luma`
    [N, 16, 16] uint8 and `chroma` [N, 4, 4, 2] uint8 of the upright pictures, all 0 where one cannot be decoded.
    """

    digests: tuple[bytes, ...]
    luma: NDArray[np.uint8]
    chroma: NDArray[np.uint8]


class LookBook:
    """Looks of pictures that something else decodes, by path; threads may share it. It knows nothing of their files."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[NDArray[np.uint8], bytes]] = {}

    def add(self, path: str, picture: Image.Image) -> None:
        """Keep what the upright RGB `picture` looks like, and a digest of its pixels."""
        pixels = f"{picture.width} {picture.height} ".encode() + picture.tobytes()
        self._seen[path] = shrink(picture), hashlib.blake2b(pixels, digest_size=DIGEST_BYTES).digest()

    def update(self, other: LookBook) -> None:
        """Take over all that another book has."""
        self._seen.update(other._seen)

    def looks(self, paths: Sequence[str]) -> Looks:
        """The looks of `paths`, in order, their digests those of the pixels; what was never added matches nothing."""
        none = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8), b""
        small, digests = zip(*(self._seen.get(path, none) for path in paths), strict=True)
        return Looks(tuple(digests), *channels(np.stack(small)))


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
