"""Which models are held in memory together: on a small board not all of them can take turns."""

from __future__ import annotations

from collections.abc import Sequence

# A batch takes more than the single image a peak was seen with, and the system needs some for its files.
USABLE_SHARE = 0.5


def split_by_memory(peaks_bytes: Sequence[int], available_bytes: int | None) -> list[list[int]]:
    """The positions of models, in order, in groups whose peaks together fit half of the memory; one at least in each.

    All in one group where the system does not say what is available.
    """
    if available_bytes is None:
        return [list(range(len(peaks_bytes)))]
    groups: list[list[int]] = []
    held = 0
    for index, peak in enumerate(peaks_bytes):
        if not groups or held + peak > available_bytes * USABLE_SHARE:
            groups.append([])
            held = 0
        groups[-1].append(index)
        held += peak
    return groups
