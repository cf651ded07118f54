"""A few vectors that stand for the embeddings of all training pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_CENTRES = 64
PER_CLASS = 2
_MOST_ROUNDS = 25
_SMALLEST_LENGTH = 1e-12


def count_centres(classes: int) -> int:
    """How many centres a model of so many classes gets at most: 64, or two a class."""
    return max(MOST_CENTRES, PER_CLASS * classes)


def unit_vectors(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """Embeddings `[N, D]` at length 1."""
    vectors = embeddings.astype(np.float64)
    units: NDArray[np.float64] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _SMALLEST_LENGTH)
    return units


def find_centres(embeddings: NDArray[np.floating], count: int) -> NDArray[np.float32]:
    """At most `count` unit vectors `[M, D]` that the embeddings `[N, D]` lie around, as directions.

    Spherical k-means (Dhillon and Modha 2001), begun with k-means++ (Arthur and Vassilvitskii 2007) from a fixed seed.
    Where there are no more embeddings than `count`, they are the centres themselves.
    """
    units = unit_vectors(embeddings)
    if len(units) <= count:
        return units.astype(np.float32)
    centres = _begin(units, count)
    nearest = np.full(len(units), -1)
    for _ in range(_MOST_ROUNDS):
        found = (units @ centres.T).argmax(axis=1)
        if np.array_equal(found, nearest):
            break
        nearest = found
        # Of an empty cluster the centre stays.
        for place in np.unique(nearest):
            centres[place] = units[nearest == place].mean(axis=0)
        centres = unit_vectors(centres)
    return centres.astype(np.float32)


def distances_to(centres: NDArray[np.floating], embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 - cosine to the nearest of the unit vectors `centres` `[M, D]`, `[N]` in 0..2, for embeddings `[N, D]`.

    The distance to the nearest neighbour of normalised features: Sun et al. 2022, "Out-of-Distribution Detection with
    Deep Nearest Neighbors", section 3, with k = 1 and centres for the training set (half the squared distance).
    """
    distances: NDArray[np.float64] = 1 - (unit_vectors(embeddings) @ centres.T.astype(np.float64)).max(axis=1)
    return distances


def _begin(units: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    draw = np.random.default_rng(0)
    chosen = [int(draw.integers(len(units)))]
    far = 1 - units @ units[chosen[0]]
    for _ in range(count - 1):
        weights = np.maximum(far, 0)
        # Copies of one picture, and nothing else, are left.
        even = weights.sum() <= _SMALLEST_LENGTH
        chosen.append(int(draw.choice(len(units), p=None if even else weights / weights.sum())))
        far = np.minimum(far, 1 - units @ units[chosen[-1]])
    return units[chosen]
