"""The same picture in several files: byte for byte, or saved again in another size, quality or format.

Near duplicates are found in two steps. Candidates are pictures whose 64-bit perceptual hashes differ in few bits: the
signs of the lowest frequencies of the luma's discrete cosine transform against their median (Zauner 2010,
Implementation and Benchmarking of Perceptual Image Hash Functions, 3.2.1), the weakest counted as 0: of symmetric
pictures, logos and signs say, half of them are nothing but noise. They are searched by sorting the hashes
with their bits in 24 orders and comparing neighbours (Charikar 2002, Similarity Estimation Techniques from Rounding
Algorithms, 3), which costs n log n. A candidate counts when its thumbnail agrees too, by a rule:

- `same_picture`: on the whole and at its worst point, in colours and brightness. Photos of one scene in which one thing
  moved, and of one thing in two colours, stay apart; so do pictures cropped, turned, mirrored or recoloured.
- `same_scene`: on the whole. Frames of a burst and of a film are taken for one, too, while little moves.

Pictures without structure, blank ones say, are never compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

_NEIGHBOURS = 16
# Bit i goes to place i * factor + shift: an odd factor makes that an order of the 64.
_ORDERS = tuple((factor, shift) for factor in (1, 5, 11, 19, 29, 45) for shift in (0, 16, 32, 48))
_STRUCTURE = 6.0
_DIFFERENCE = 0.15
_WORST_POINT = 48.0
_BRIGHTNESS = 24.0
_COLOUR = 20
_CORRELATION = 0.95
_MEAN_COLOUR = 8.0
_CHUNK = 4096
# Cosines are whole numbers of this many parts: a symmetric picture's odd frequencies are 0 then, and no sum is rounded.
_COSINE = 1024
# What counts as 0, so that no noise has a sign. Rounded to 8 bits (a deviation of 0.29) a thumbnail of side S gives
# frequencies of a deviation of 0.14 S, 0.2 S where one of the two is 0: these are five and four of them.
_ROUNDING = 0.75
# The same picture in another size lies up to a few hundredths of a thumbnail's pixel elsewhere: that much of its
# strongest frequency. At twice this, chains of unlike things on white appear.
_SHIFTED = 0.005

Bytes = NDArray[np.uint8]


class Agree(Protocol):
    """Whether pictures show the same: luma [N, S, S] of one and the other, chroma [N, C, C, 2] of both; [N]."""

    def __call__(self, one: Bytes, other: Bytes, one_chroma: Bytes, other_chroma: Bytes, /) -> NDArray[np.bool_]:
        """Compare."""


class Likeness(NamedTuple):
    """A rule by which pictures are one: the most bits that their hashes differ in, and what their thumbnails must."""

    bits: int
    agree: Agree


def exact_groups(digests: Sequence[bytes]) -> list[list[int]]:
    """The indices of equal digests, ascending, for every digest that occurs more than once; b"" equals nothing."""
    places: dict[bytes, list[int]] = defaultdict(list)
    for index, digest in enumerate(digests):
        if digest:
            places[digest].append(index)
    return [group for group in places.values() if len(group) > 1]


def near_groups(thumbnails: Bytes, chromas: Bytes, likeness: Likeness | None = None) -> list[list[int]]:
    """The indices of pictures that show the same by `likeness`, `SAME_PICTURE` if None, in groups of two or more.

    `thumbnails` is [N, S, S] uint8 luma, `chromas` [N, C, C, 2] uint8 Cb and Cr. A group is closed under
    "looks like": its first and its last may differ more than any two neighbours do.
    """
    bits, agree = likeness or SAME_PICTURE
    structured = [
        np.flatnonzero(_contrast(thumbnails[start : start + _CHUNK]) >= _STRUCTURE) + start
        for start in range(0, len(thumbnails), _CHUNK)
    ]
    index = np.concatenate(structured) if structured else np.empty(0, np.intp)
    if len(index) < 2:
        return []
    hashes = np.concatenate([_hashes(thumbnails[index[i : i + _CHUNK]]) for i in range(0, len(index), _CHUNK)])
    alike = _Components(len(index))
    for pairs in _candidates(hashes, bits):
        # Most candidates of a large group are joined already, and need no second look.
        undecided = alike.apart(*pairs)
        one, other = (each[undecided] for each in pairs)
        for start in range(0, len(one), _CHUNK):
            left, right = one[start : start + _CHUNK], other[start : start + _CHUNK]
            i, j = index[left], index[right]
            same = agree(thumbnails[i], thumbnails[j], chromas[i], chromas[j])
            alike.join(left[same], right[same])
    return [index[group].tolist() for group in alike.groups()]


def same_picture(one: Bytes, other: Bytes, one_chroma: Bytes, other_chroma: Bytes) -> NDArray[np.bool_]:
    """Whether pictures are the same, a little brightness aside: luma [N, S, S], chroma [N, C, C, 2]; [N]."""
    difference = one.astype(np.float32) - other
    shift = difference.mean(axis=(1, 2), keepdims=True)
    difference -= shift
    error = np.sqrt(np.square(difference).mean(axis=(1, 2)))
    alike = error <= _DIFFERENCE * np.minimum(_contrast(one), _contrast(other))
    alike &= np.abs(difference).max(axis=(1, 2)) <= _WORST_POINT
    alike &= np.abs(shift[:, 0, 0]) <= _BRIGHTNESS
    colours = np.abs(one_chroma.astype(np.int16) - other_chroma).max(axis=(1, 2, 3))
    return np.asarray(alike & (colours <= _COLOUR), np.bool_)


def same_scene(one: Bytes, other: Bytes, one_chroma: Bytes, other_chroma: Bytes) -> NDArray[np.bool_]:
    """Whether pictures correlate, are as bright and as coloured: luma [N, S, S], chroma [N, C, C, 2]; [N]."""
    lumas = [each.astype(np.float32) for each in (one, other)]
    means = [each.mean(axis=(1, 2), keepdims=True) for each in lumas]
    left, right = (each - mean for each, mean in zip(lumas, means, strict=True))
    product = (left * right).sum(axis=(1, 2))
    alike = product >= _CORRELATION * np.sqrt(np.square(left).sum(axis=(1, 2)) * np.square(right).sum(axis=(1, 2)))
    alike &= np.abs(means[0] - means[1])[:, 0, 0] <= _BRIGHTNESS
    colours = np.square(one_chroma.astype(np.float32) - other_chroma).mean(axis=(1, 2, 3))
    return np.asarray(alike & (colours <= _MEAN_COLOUR**2), np.bool_)


SAME_PICTURE = Likeness(6, same_picture)
SAME_SCENE = Likeness(10, same_scene)


def _contrast(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(thumbnails.astype(np.float32).std(axis=(1, 2)), np.float32)


def _hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """[N, S, S] uint8 -> [N] uint64: the same on every machine, since all sums are of whole numbers below 2**53."""
    side = thumbnails.shape[1]
    frequency, place = np.arange(8)[:, None], np.arange(side)[None]
    cosines = np.rint(_COSINE * np.cos(np.pi * frequency * (2 * place + 1) / (2 * side)))
    low = (cosines @ thumbnails.astype(np.float64) @ cosines.T).reshape(len(thumbnails), 64)
    low[:, 0] = 0
    size = np.abs(low)
    low[size < np.maximum(_ROUNDING * side * _COSINE**2, _SHIFTED * size.max(axis=1, keepdims=True))] = 0
    low[:, 0] = -np.inf  # the mean brightness: not part of what is shown
    above = low > np.median(low[:, 1:], axis=1, keepdims=True)
    return np.packbits(above, axis=1).view(np.uint64).reshape(-1)


def _candidates(hashes: NDArray[np.uint64], bits: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Pairs of positions whose hashes are at most `bits` bits apart, some of them several times."""
    each_bit = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1)
    for factor, shift in _ORDERS:
        turned = np.packbits(each_bit[:, (np.arange(64) * factor + shift) % 64], axis=1)
        order = np.argsort(np.ascontiguousarray(turned).view(np.uint64).byteswap().reshape(-1), kind="stable")
        ordered = hashes[order]
        for step in range(1, min(_NEIGHBOURS, len(ordered) - 1) + 1):
            close = np.flatnonzero(np.bitwise_count(ordered[step:] ^ ordered[:-step]) <= bits)
            yield order[close], order[close + step]


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
