"""The figures of single pictures: blur follows blurring and nothing else, and edges are found where they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from edge_data.check.quality import Quality, measure_quality


def measured(picture: Image.Image) -> Quality:
    return measure_quality(picture, np.asarray(picture.resize((32, 32), Image.Resampling.BOX), np.float32))


@pytest.fixture(scope="module")
def photo(hymenoptera: Path) -> Image.Image:
    with Image.open(hymenoptera / "train/ants/0013035.jpg") as image:
        return image.convert("RGB")


def test_blur_rises_with_blurring_and_with_nothing_else(photo: Image.Image) -> None:
    sharp = measured(photo).blur
    radii = [measured(photo.filter(ImageFilter.GaussianBlur(radius))).blur for radius in (3, 6, 12, 24)]
    assert 0 < sharp < 0.3 and radii == sorted(radii) and radii[2] > 0.5
    changes: list[Callable[[Image.Image], Image.Image]] = [
        lambda image: ImageEnhance.Contrast(image).enhance(0.4),
        lambda image: image.rotate(90, expand=True),
        lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX),
        lambda image: image.convert("L").convert("RGB"),
    ]
    for change in changes:
        assert measured(change(photo)).blur == pytest.approx(sharp, abs=0.03)


def test_a_soft_background_does_not_make_a_sharp_thing_blurred(photo: Image.Image) -> None:
    soft = photo.filter(ImageFilter.GaussianBlur(20))
    third = (photo.width // 3, photo.height // 3)
    box = (*third, third[0] * 2, third[1] * 2)
    soft.paste(photo.crop(box), box)
    assert measured(soft).blur < 0.35


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (15, 15), (16, 9000), (400, 16), (130, 129)])
@pytest.mark.parametrize("level", [0, 255])
def test_pictures_of_any_size_and_none_of_structure_are_measured(size: tuple[int, int], level: int) -> None:
    found = measured(Image.new("RGB", size, (level,) * 3))
    assert (found.blur, found.contrast, found.spread, found.edges) == (0, 0, 0, 1)
    assert (found.brightest, found.darkest, found.white, found.white_middle) == (
        level,
        level,
        level // 255,
        level // 255,
    )


@pytest.mark.parametrize(
    ("box", "share"),
    [((50, 60, 70, 80), 0.04), ((20, 20, 120, 120), 0.45), ((0, 60, 20, 80), 1.0), ((50, 140, 70, 160), 1.0)],
)
def test_the_edges_take_the_area_of_the_thing_and_all_where_it_reaches_the_frame(
    box: tuple[int, int, int, int], share: float
) -> None:
    sky = np.full((160, 160, 3), (90, 150, 230), np.float64) + np.linspace(-20, 20, 160)[:, None, None]
    picture = Image.fromarray(sky.astype(np.uint8))
    picture.paste((40, 40, 40), box)
    assert measured(picture).edges == pytest.approx(share, rel=0.4)
