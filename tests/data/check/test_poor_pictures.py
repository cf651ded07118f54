"""Poor pictures are found among good ones, and few good ones are taken for poor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from edge_data import check_data
from edge_data.check.inspection import inspect
from edge_data.check.poor_pictures import poor_pictures
from edge_data.check.quality import Quality, measure_quality
from edge_runtime import decode

PHOTOS, POOR = 80, 25


def measured(picture: Image.Image) -> Quality:
    return measure_quality(picture, np.asarray(picture.resize((32, 32), Image.Resampling.BOX), np.float32))


def exposed(picture: Image.Image, stops: float) -> Image.Image:
    """The picture with 2 ** stops as much light, by the curve of sRGB."""
    level = np.arange(256) / 255
    light = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4) * 2.0**stops
    curve = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return picture.point(np.rint(np.minimum(curve, 1) * 255).astype(int).tolist() * 3)


@pytest.fixture(scope="module")
def photos(hymenoptera: Path) -> dict[str, Image.Image]:
    """Photos of insects, 128 pixels of the short side and more."""
    paths = sorted((hymenoptera / "train").rglob("*.jpg"))[::3][:PHOTOS]
    return {path.name: decode(path, reduce_to_px=64) for path in paths}


@pytest.fixture(scope="module")
def good(photos: dict[str, Image.Image]) -> dict[str, Quality]:
    return {name: measured(photo) for name, photo in photos.items()}


def with_poor(good: dict[str, Quality], poor: list[Image.Image]) -> dict[str, list[str]]:
    return poor_pictures({**good, **{f"poor{number}": measured(picture) for number, picture in enumerate(poor)}})


def test_nothing_is_said_of_good_photos(good: dict[str, Quality]) -> None:
    assert poor_pictures(good) == {}


def test_blurred_copies_are_found_and_a_slight_softness_is_not(
    photos: dict[str, Image.Image], good: dict[str, Quality]
) -> None:
    def blurred(share: float) -> list[Image.Image]:
        chosen = list(photos.values())[:POOR]
        return [photo.filter(ImageFilter.GaussianBlur(share * min(photo.size))) for photo in chosen]

    found = with_poor(good, blurred(2 / 128))
    assert list(found) == ["blurred"] and set(found["blurred"]) <= {f"poor{number}" for number in range(POOR)}
    assert len(found["blurred"]) >= 0.88 * POOR
    assert with_poor(good, blurred(0.5 / 128)) == {}


def test_a_set_that_is_soft_as_a_whole_is_not_told_so(photos: dict[str, Image.Image]) -> None:
    soft = {name: measured(photo.filter(ImageFilter.GaussianBlur(4))) for name, photo in photos.items()}
    assert float(np.median([it.blur for it in soft.values()])) > 0.5
    assert poor_pictures(soft) == {}


def test_dark_ones_are_found_and_dusk_is_not(photos: dict[str, Image.Image], good: dict[str, Quality]) -> None:
    chosen = list(photos.values())[:POOR]
    found = with_poor(good, [exposed(photo, -5) for photo in chosen])
    assert {kind: len(paths) for kind, paths in found.items()} == {"dark": POOR}
    assert with_poor(good, [exposed(photo, -2) for photo in chosen]) == {}


def test_burnt_out_ones_are_found_and_things_before_white_are_not(
    photos: dict[str, Image.Image], good: dict[str, Quality]
) -> None:
    burnt = [exposed(photo, 4) for photo in list(photos.values())[:POOR]]
    half = [f"poor{n}" for n, photo in enumerate(burnt) if (np.asarray(photo).min(axis=-1) >= 250).mean() >= 0.4]
    found = with_poor(good, burnt)
    assert list(found) == ["overexposed"] and len(half) >= 5
    assert len(set(half) & set(found["overexposed"])) >= 0.5 * len(half)
    thing = Image.new("RGB", (160, 160), "white")
    thing.paste((120, 160, 200), (60, 40, 100, 120))
    assert with_poor(good, [thing]) == {}


def test_one_colour_nearly_is_told_and_a_black_picture_is_dark_alone(good: dict[str, Quality]) -> None:
    noise = np.random.default_rng(0).integers(-3, 4, (120, 160, 3))
    wall = Image.fromarray((np.array([150, 170, 90]) + noise).astype(np.uint8))
    lens_cap = Image.fromarray((np.array([6, 5, 7]) + noise).clip(0).astype(np.uint8))
    assert with_poor(good, [wall, lens_cap]) == {"dark": ["poor1"], "nearly-blank": ["poor0"]}


def test_what_much_of_a_set_has_in_common_is_its_manner(good: dict[str, Quality]) -> None:
    bird = Image.new("RGB", (160, 160), (90, 150, 230))
    bird.paste((30, 30, 30), (70, 60, 90, 75))
    one = measured(bird)
    some = dict(list(good.items())[:60])
    assert list(poor_pictures({**some, **{f"bird{n}": one for n in range(25)}})) == ["tiny-subject"]
    assert poor_pictures({**some, **{f"bird{n}": one for n in range(40)}}) == {}


def test_the_check_names_them_the_worst_first_and_does_not_fail(edge: Any, hymenoptera: Path, tmp_path: Path) -> None:
    for label in ("ants", "bees"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for path in sorted((hymenoptera / "val" / label).glob("*.jpg"))[:15]:
            (tmp_path / "data" / label / path.name).symlink_to(path)
    photo = decode(hymenoptera / "train/ants/0013035.jpg")
    for name, picture in {
        "night": exposed(photo, -6),
        "soft": photo.filter(ImageFilter.GaussianBlur(9)),
        "softer": photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).filter(ImageFilter.GaussianBlur(14)),
    }.items():
        picture.save(tmp_path / "data/ants" / f"{name}.jpg")
    done = edge("data", "check", tmp_path / "data", "--json")
    kinds = {finding["kind"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 0 and not any(finding["harmful"] for finding in kinds.values())
    assert kinds["dark"]["files"] == ["ants/night.jpg"]
    assert kinds["blurred"]["files"] == ["ants/softer.jpg", "ants/soft.jpg"]
    assert kinds["blurred"]["text"].startswith("2 of 33: blurred")
    assert inspect(tmp_path / "data", "ants/soft.jpg").quality is not None
    assert [finding.kind for finding in check_data(tmp_path / "data").findings].count("blurred") == 1
