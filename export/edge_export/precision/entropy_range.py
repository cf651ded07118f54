"""The range of an activation that loses least information when it is cut into 128 steps, from its histogram.

As onnxruntime's `HistogramCollector.get_entropy_threshold` chooses it (Migacz, "8-bit inference with TensorRT", 2017),
which sums bins one by one in Python: where the first images give narrow ranges its histograms grow to many thousand
bins, and the time with their square, to hours for a network.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Histogram: TypeAlias = tuple[NDArray[Any], ...]

# More bins are merged with their neighbours: they would tell steps apart that are a hundredth of an int8 step.
MOST_BINS = 16_384
# What a candidate's empty bins are given, of one count; with more of them nothing is left of the full ones.
_EPSILON = 1e-4


def entropy_range(histogram: Histogram, steps: int) -> tuple[Any, Any]:
    """Lowest and highest value of the best range.

    `histogram` is onnxruntime's: counts of bins around zero, their edges, the lowest and the highest value seen.
    """
    counts, edges = _coarser(histogram[0], histogram[1])
    zero = counts.size // 2
    below = np.concatenate([[0], np.cumsum(counts)])
    candidates = range(steps // 2, zero + 1)
    losses = [_loss(counts, below, zero - half, min(zero + half + 1, counts.size), steps) for half in candidates]
    # Where no range can be told from another, the whole.
    half = candidates[int(np.argmin(losses))] if np.isfinite(losses).any() else zero
    lowest, highest = edges[zero - half], edges[min(zero + half + 1, counts.size)]
    return max(lowest, histogram[2]), min(highest, histogram[3])


def _coarser(counts: NDArray[Any], edges: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    together = -(-counts.size // MOST_BINS)
    if together == 1:
        return counts, edges
    # As many on each side of zero, in whole groups.
    half = -(-(counts.size // 2) // together) * together
    before = half - counts.size // 2
    after = 2 * half - counts.size - before
    if after < 0:
        half += together
        before, after = before + together, after + together
    padded = np.pad(counts, (before, after))
    width = (edges[-1] - edges[0]) / counts.size
    merged = padded.reshape(-1, together).sum(axis=1)
    wider = edges[0] - before * width + together * width * np.arange(merged.size + 1)
    return merged, wider.astype(edges.dtype)


def _loss(counts: NDArray[Any], below: NDArray[Any], start: int, end: int, steps: int) -> float:
    """Kullback and Leibler's divergence of what is left of the counts in so many steps from the counts."""
    from onnxruntime.quantization.calibrate import entropy
    from onnxruntime.quantization.quant_utils import smooth_distribution

    inside = counts[start:end]
    truth = inside.copy()
    # What lies outside is clipped to the ends.
    truth[0] += below[start]
    truth[-1] += below[-1] - below[end]
    each = inside.size // steps
    whole = each * steps
    merged = inside[:whole].reshape(steps, each).sum(axis=1)
    merged[-1] += inside[whole:].sum()
    filled = (truth[:whole] != 0).reshape(steps, each).sum(axis=1)
    kept = np.zeros(inside.size, np.int64)
    kept[:whole] = np.repeat(np.where(filled > 0, merged // np.maximum(filled, 1), 0), each)
    if _too_empty(truth) or _too_empty(kept):
        return np.inf
    return float(entropy(smooth_distribution(truth), smooth_distribution(kept)))


def _too_empty(counts: NDArray[Any]) -> bool:
    full = int(np.count_nonzero(counts))
    return full == 0 or _EPSILON * (counts.size - full) >= full
