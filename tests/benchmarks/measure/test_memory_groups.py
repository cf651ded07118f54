from __future__ import annotations

import pytest

from edge_benchmarks.measure.memory_groups import split_by_memory


@pytest.mark.parametrize(
    ("peaks", "available", "groups"),
    [
        ([100, 100, 100], 10_000, [[0, 1, 2]]),
        ([100, 100, 100], None, [[0, 1, 2]]),
        ([100, 100, 100], 400, [[0, 1], [2]]),
        # One that is too large by itself is tried all the same.
        ([900, 100, 100], 400, [[0], [1, 2]]),
        ([0, 0], 0, [[0, 1]]),
    ],
)
def test_models_take_turns_as_far_as_half_of_the_memory_holds_them(
    peaks: list[int], available: int | None, groups: list[list[int]]
) -> None:
    assert split_by_memory(peaks, available) == groups
