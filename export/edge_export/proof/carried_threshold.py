"""A threshold that was chosen on cross-validated answers, for a file of lower precision, whose own are not known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Never past another image, and no further from one than this.
ROUNDING = 1e-4


def carry_over(threshold: float, before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """The threshold, nearest to the given one, from which as many of `after` are as are of `before` from that one on.

    Both are the probabilities `[N]` of the positive class for the same images. Where several of `after` are alike, so
    that no threshold parts them, it stays.
    """
    scores = np.sort(after.astype(np.float64))[::-1]
    count = int((before.astype(np.float64) >= threshold).sum())
    last = float(scores[count - 1]) if count else 1.0
    following = float(scores[count]) if count < len(scores) else 0.0
    if following < threshold <= last or following >= last:
        return threshold
    step = min(ROUNDING, (last - following) / 2)
    return last - step if threshold > last else following + step
