"""What each picture of a data set looks like, as small as tells copies from others: made once, kept in the cache."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_runtime import ImageError, Progress, decode

SIDE_PX = 16
CHROMA_PX = 4
DIGEST_BYTES = 16
_AT_ONCE = 2048
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_Seen: TypeAlias = "tuple[bytes, NDArray[np.uint8] | None]"


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
        self._small[path] = _shrink(picture)

    def update(self, other: LookBook) -> None:
        """Take over all that another book has."""
        self._small.update(other._small)

    def looks(self, paths: Sequence[str]) -> Looks:
        """The looks of `paths`, in order; those that were never added match nothing."""
        none = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
        luma, chroma = _channels(np.stack([self._small.get(path, none) for path in paths]))
        return Looks((b"",) * len(paths), luma, chroma)


def look_at(root: Path, paths: Sequence[str], progress: Progress, *, threads: int) -> Looks:
    """The looks of the files at `paths`, posix and relative to `root`, in order; none raises."""
    digests: list[bytes] = []
    luma = np.zeros((len(paths), SIDE_PX, SIDE_PX), np.uint8)
    chroma = np.zeros((len(paths), CHROMA_PX, CHROMA_PX, 2), np.uint8)
    progress.begin("comparing images", len(paths))
    try:
        # Pillow warns of odd headers in its own words, on stderr, without the file's name.
        with warnings.catch_warnings(), ThreadPoolExecutor(threads, thread_name_prefix="edge-look") as pool:
            warnings.simplefilter("ignore")
            # By portions: an interruption waits for what was handed to the pool.
            for start in range(0, len(paths), _AT_ONCE):
                seen = list(pool.map(partial(_see, root), paths[start : start + _AT_ONCE]))
                digests += [digest for digest, _ in seen]
                places = [start + place for place, (_, small) in enumerate(seen) if small is not None]
                if places:
                    luma[places], chroma[places] = _channels(np.stack([s for _, s in seen if s is not None]))
                progress.advance(len(seen))
    finally:
        progress.end()
    return Looks(tuple(digests), luma, chroma)


def _see(root: Path, path: str) -> _Seen:
    """The digest of a file, and [16, 16, 3] uint8 RGB of its picture."""
    try:
        data = (root / path).read_bytes()
    except OSError:
        return b"", None
    digest = hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
    try:
        # All of a JPEG's data is read, but only an eighth of its frequencies computed.
        picture = decode(data, reduce_to_px=SIDE_PX)
    except ImageError:
        return digest, None
    return digest, _shrink(picture)


def _shrink(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX))


def _channels(small: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """[N, 16, 16, 3] RGB -> [N, 16, 16] luma, [N, 4, 4, 2] Cb and Cr as JPEG defines them (ITU-T T.871)."""
    pixels, block = small.astype(np.float32), SIDE_PX // CHROMA_PX
    coarse = pixels.reshape(-1, CHROMA_PX, block, CHROMA_PX, block, 3).mean(axis=(2, 4))
    luma = coarse @ _LUMA
    both = np.stack([(coarse[..., 2] - luma) / 1.772, (coarse[..., 0] - luma) / 1.402], axis=-1)
    return np.rint(pixels @ _LUMA).astype(np.uint8), np.rint(both + 128).clip(0, 255).astype(np.uint8)
