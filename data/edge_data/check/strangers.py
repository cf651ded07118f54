"""Pictures of none of the classes: those whose features are far from all others'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_data.check.poor_pictures import outlying

_NEIGHBOURS = 5
_DEVIATIONS, _LEAST_DEVIATION = 3.5, 0.01
_LEAST_IMAGES = 20
_MOST_REFERENCES = 20_000
_CHUNK = 512

Floats = NDArray[np.float32]


def strangers(embeddings: Mapping[str, NDArray[np.floating[Any]]]) -> list[str]:
    """The paths of pictures unlike all others, the farthest first; `embeddings` [D] by path, of a whole set.

    How far one is, is its cosine distance to its fifth nearest (Sun et al. 2022, Out-of-Distribution Detection with
    Deep Nearest Neighbors), and too far is three and a half deviations from the set's median. Six alike are no
    strangers to each other. Of more than 20,000 pictures each is compared with 20,000, evenly spread.
    """
    if len(embeddings) < _LEAST_IMAGES:
        return []
    paths = list(embeddings)
    distances = neighbour_distances(np.stack(list(embeddings.values())))
    limit = outlying(distances.tolist(), _DEVIATIONS, _LEAST_DEVIATION)
    return [paths[row] for row in np.argsort(-distances, kind="stable") if distances[row] > limit]


def neighbour_distances(vectors: NDArray[np.floating[Any]]) -> Floats:
    """[N, D] -> [N], the cosine distance (0 to 2) of each to its fifth nearest other one."""
    unit = np.array(vectors, np.float32)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    chosen = np.unique(np.linspace(0, len(unit) - 1, min(len(unit), _MOST_REFERENCES)).astype(np.intp))
    references = unit[chosen]
    nearest = np.empty(len(unit), np.float32)
    for start in range(0, len(unit), _CHUNK):
        likeness = unit[start : start + _CHUNK] @ references.T
        # Nobody is their own neighbour.
        likeness[chosen[None] == np.arange(start, start + len(likeness))[:, None]] = -np.inf
        nearest[start : start + len(likeness)] = np.partition(likeness, -_NEIGHBOURS, axis=1)[:, -_NEIGHBOURS]
    return 1 - nearest
