"""The same picture in several files: byte for byte, or saved again in another size, quality or format.

Near duplicates are found in two steps. Candidates are pictures whose 64-bit perceptual hashes differ in at most
6 bits: the signs of the lowest frequencies of the luma's discrete cosine transform against their median (Zauner 2010,
Implementation and Benchmarking of Perceptual Image Hash Functions, 3.2.1). They are searched by sorting the hashes
rotated four ways and comparing neighbours (Manku et al. 2007, Detecting Near-Duplicates for Web Crawling, 3), which
costs n log n. A candidate counts when its 32 × 32 thumbnail agrees too, on the whole and at its worst point, and
its colours and its brightness do: photos of one scene in which one thing moved, and of one thing in two colours,
stay apart. So do pictures cropped, turned, mirrored or recoloured. Pictures without structure, blank ones say, are
never compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_HASH_BITS_APART = 6
_NEIGHBOURS = 16
_ROTATIONS_BITS = (0, 16, 32, 48)
_STRUCTURE = 6.0
_DIFFERENCE = 0.15
_WORST_POINT = 48.0
_BRIGHTNESS = 24.0
_COLOUR = 20
_CHUNK = 4096


def exact_groups(digests: Sequence[bytes]) -> list[list[int]]:
    """The indices of equal digests, ascending, for every digest that occurs more than once; b"" equals nothing."""
    places: dict[bytes, list[int]] = defaultdict(list)
    for index, digest in enumerate(digests):
        if digest:
            places[digest].append(index)
    return [group for group in places.values() if len(group) > 1]


def near_groups(thumbnails: NDArray[np.uint8], chromas: NDArray[np.uint8]) -> list[list[int]]:
    """The indices of pictures that show the same, in groups of two or more.

    `thumbnails` is [N, 32, 32] uint8 luma, `chromas` [N, 8, 8, 2] uint8 Cb and Cr. A group is closed under
    "looks like": its first and its last may differ more than any two neighbours do.
    """
    structured = [
        np.flatnonzero(_contrast(thumbnails[start : start + _CHUNK]) >= _STRUCTURE) + start
        for start in range(0, len(thumbnails), _CHUNK)
    ]
    index = np.concatenate(structured) if structured else np.empty(0, np.intp)
    if len(index) < 2:
        return []
    hashes = np.concatenate([_hashes(thumbnails[index[i : i + _CHUNK]]) for i in range(0, len(index), _CHUNK)])
    alike = _Components(len(index))
    for pairs in _candidates(hashes):
        # Most candidates of a large group are joined already, and need no second look.
        undecided = alike.apart(*pairs)
        one, other = (each[undecided] for each in pairs)
        for start in range(0, len(one), _CHUNK):
            left, right = one[start : start + _CHUNK], other[start : start + _CHUNK]
            i, j = index[left], index[right]
            same = _look_alike(thumbnails[i], thumbnails[j]) & _same_colours(chromas[i], chromas[j])
            alike.join(left[same], right[same])
    return [index[group].tolist() for group in alike.groups()]


def _contrast(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(thumbnails.astype(np.float32).std(axis=(1, 2)), np.float32)


def _hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """[N, 32, 32] uint8 -> [N] uint64."""
    side = thumbnails.shape[1]
    frequency, place = np.arange(8)[:, None], np.arange(side)[None]
    cosines = np.cos(np.pi * frequency * (2 * place + 1) / (2 * side)).astype(np.float32)
    low = (cosines @ thumbnails.astype(np.float32) @ cosines.T).reshape(len(thumbnails), 64)
    low[:, 0] = -np.inf  # the mean brightness: not part of what is shown
    above = low > np.median(low[:, 1:], axis=1, keepdims=True)
    return np.packbits(above, axis=1).view(np.uint64).reshape(-1)


def _candidates(hashes: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Pairs of positions whose hashes are at most `_HASH_BITS_APART` bits apart, some of them several times."""
    for bits in _ROTATIONS_BITS:
        turned = (hashes << np.uint64(bits)) | (hashes >> np.uint64(64 - bits)) if bits else hashes
        order = np.argsort(turned, kind="stable")
        ordered = turned[order]
        for step in range(1, min(_NEIGHBOURS, len(ordered) - 1) + 1):
            close = np.flatnonzero(_ones(np.bitwise_xor(ordered[step:], ordered[:-step])) <= _HASH_BITS_APART)
            yield order[close], order[close + step]


def _ones(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The number of set bits in each word (Warren, Hacker's Delight, 5-1)."""
    pairs, nibbles, byte = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
    words = words - ((words >> np.uint64(1)) & pairs)
    words = (words & nibbles) + ((words >> np.uint64(2)) & nibbles)
    words = (words + (words >> np.uint64(4))) & byte
    return (words * np.uint64(0x0101010101010101)) >> np.uint64(56)


def _look_alike(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether pictures of [N, 32, 32] uint8 luma show the same, a little brightness aside: [N]."""
    difference = one.astype(np.float32) - other
    shift = difference.mean(axis=(1, 2), keepdims=True)
    difference -= shift
    error = np.sqrt(np.square(difference).mean(axis=(1, 2)))
    alike = error <= _DIFFERENCE * np.minimum(_contrast(one), _contrast(other))
    alike &= np.abs(difference).max(axis=(1, 2)) <= _WORST_POINT
    return np.asarray(alike & (np.abs(shift[:, 0, 0]) <= _BRIGHTNESS), np.bool_)


def _same_colours(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether [N, 8, 8, 2] uint8 chroma agrees everywhere: [N]."""
    return np.asarray(np.abs(one.astype(np.int16) - other).max(axis=(1, 2, 3)) <= _COLOUR, np.bool_)


class _Components:
    """Which of `count` nodes are connected; every node points straight at its component's first member."""

    def __init__(self, count: int) -> None:
        self._first = np.arange(count)

    def apart(self, one: NDArray[np.intp], other: NDArray[np.intp]) -> NDArray[np.bool_]:
        return np.asarray(self._first[one] != self._first[other], np.bool_)

    def join(self, one: NDArray[np.intp], other: NDArray[np.intp]) -> None:
        first = self._first
        for left, right in zip(one.tolist(), other.tolist(), strict=True):
            low, high = sorted((self._root(left), self._root(right)))
            first[high] = low
        while not np.array_equal(jumped := first[first], first):
            first = jumped
        self._first = first

    def groups(self) -> list[NDArray[np.intp]]:
        """The components of two or more, each ascending, ordered by their first member."""
        order = np.argsort(self._first, kind="stable")
        starts = np.flatnonzero(np.diff(self._first[order])) + 1
        return [group for group in np.split(order, starts) if len(group) > 1]

    def _root(self, node: int) -> int:
        while (above := int(self._first[node])) != node:
            node = above
        return node
