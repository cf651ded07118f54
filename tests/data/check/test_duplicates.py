"""Near duplicates: found among many, never between pictures that differ, whatever their order."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from edge_data.check.duplicates import SAME_SCENE, exact_groups, near_groups
from edge_data.sets.look_records import channels, shrink
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


@settings(max_examples=25)
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


def symmetric() -> list[Image.Image]:
    """A disc, a bottle, a sign and an icon, each in the middle of its ground."""
    made = []
    for ground, forms in (
        ("white", [("ellipse", (60, 60, 240, 240), "firebrick")]),
        ("white", [("rectangle", (120, 40, 180, 270), "seagreen"), ("rectangle", (135, 10, 165, 40), "black")]),
        ("silver", [("ellipse", (30, 30, 270, 270), "red"), ("rectangle", (70, 130, 230, 170), "white")]),
        ("navy", [("rectangle", (100, 100, 200, 200), "white"), ("ellipse", (130, 130, 170, 170), "navy")]),
    ):
        made.append(Image.new("RGB", (300, 300), ground))
        for form, box, colour in forms:
            getattr(ImageDraw.Draw(made[-1]), form)(box, fill=colour)
    return made


def saved(picture: Image.Image, side_px: int, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.resize((side_px, side_px), Image.Resampling.BICUBIC).save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def test_near_copies_of_symmetric_pictures_are_found() -> None:
    originals = symmetric()
    shown = list(originals)
    for again in (
        lambda picture: saved(picture, 300, 40),
        lambda picture: saved(picture, 150, 75),
        lambda picture: saved(picture, 100, 60),
        lambda picture: picture.point(lambda level: int(0.93 * level)),
    ):
        shown += [again(picture) for picture in originals]
    groups = near_groups(*channels(np.stack([shrink(picture) for picture in shown])), SAME_SCENE)
    assert groups == [list(range(first, len(shown), 4)) for first in range(4)]
