"""Near duplicates: found among many, never between pictures that differ, whatever their order."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from edge_data.check.duplicates import exact_groups, near_groups
from time_ratio import ratio

Pictures = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def pictures(count: int, seed: int = 0) -> Pictures:
    """Thumbnails [N, 32, 32] and chromas [N, 8, 8, 2] of unlike pictures."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 8, 8), np.uint8)
    chromas = random.integers(90, 160, (count, 8, 8, 2), np.uint8)
    return np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2), chromas


def with_noise(thumbnails: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(-3, 4, thumbnails.shape)
    return (thumbnails.astype(np.int16) + noise).clip(0, 255).astype(np.uint8)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 60), st.data())
def test_groups_are_exactly_the_copies_in_any_order(count: int, data: st.DataObject) -> None:
    thumbnails, chromas = pictures(count)
    source = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=60))
    shown = with_noise(thumbnails[source], seed=1)
    expected: dict[int, list[int]] = {}
    for place, picture in enumerate(source):
        expected.setdefault(picture, []).append(place)
    assert near_groups(shown, chromas[source]) == [group for group in expected.values() if len(group) > 1]


def test_blank_pictures_are_not_compared() -> None:
    blank = np.full((3, 32, 32), 200, np.uint8)
    assert near_groups(with_noise(blank, 0), np.full((3, 8, 8, 2), 128, np.uint8)) == []
    assert near_groups(blank[:0], np.empty((0, 8, 8, 2), np.uint8)) == []


def test_pictures_of_which_a_third_is_alike_are_not_compared_two_by_two() -> None:
    def group(thousand: int) -> None:
        thumbnails, chromas = pictures(30 * thousand)
        alike, again = slice(10 * thousand, 20 * thousand), slice(29 * thousand, None)
        thumbnails[alike], chromas[alike] = thumbnails[0], chromas[0]
        thumbnails[again] = with_noise(thumbnails[thousand : 2 * thousand], 2)
        chromas[again] = chromas[thousand : 2 * thousand]
        groups = near_groups(thumbnails, chromas)
        assert groups[0] == [0, *range(10 * thousand, 20 * thousand)]
        assert groups[1:] == [[place, place + 28 * thousand] for place in range(thousand, 2 * thousand)]

    # Comparing every two would take 25 times as long.
    assert ratio(lambda: group(1000), lambda: group(200)) < 12


def test_exact_groups_leave_out_what_has_no_digest() -> None:
    assert exact_groups([b"a", b"", b"b", b"a", b"", b"a"]) == [[0, 3, 5]]
