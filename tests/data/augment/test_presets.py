"""Augmentation changes what it says by as much as it says, the same way every time, and gives the input's size."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from PIL import Image

from edge_data.augment.geometry import elastic, warp
from edge_data.augment.presets import AUGMENTATION_ADVICE, AUGMENTATIONS, find_augmentation
from edge_data.augment.tone import blur, erase, grain, jpeg, recolour
from edge_runtime import Preprocessing, UsageError

PHOTO = Preprocessing(resize_px=73, height_px=64, width_px=64, interpolation="bilinear")
SMALL = Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear")
CHANGING = [name for name in AUGMENTATIONS if name != "none"]
TO_IQ = np.array([[0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth noise: detail everywhere, like a photo's."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def draws(name: str, image: Image.Image, contract: Preprocessing, count: int) -> list[NDArray[np.uint8]]:
    return [AUGMENTATIONS[name](image, contract, np.random.default_rng([7, index])) for index in range(count)]


def dot(size: int, x: int, y: int) -> Image.Image:
    """A white dot whose centre is (x + 0.5, y + 0.5) on black."""
    pixels = np.zeros((size, size, 3), dtype=np.uint8)
    pixels[y - 2 : y + 3, x - 2 : x + 3] = 255
    return Image.fromarray(pixels)


def centre(image: Image.Image) -> NDArray[np.float64]:
    """(x, y) of the mass of a picture."""
    mass = np.asarray(image)[..., 0].astype(float)
    rows, columns = np.mgrid[: image.height, : image.width] + 0.5
    return np.array([(columns * mass).sum(), (rows * mass).sum()]) / mass.sum()


@pytest.mark.parametrize("name", AUGMENTATIONS)
@settings(max_examples=40)
@given(
    width=st.integers(1, 200),
    height=st.integers(1, 200),
    input_px=st.tuples(st.integers(1, 110), st.integers(1, 90), st.integers(1, 90)),
    seed=st.integers(0, 2**32),
)
def test_any_picture_becomes_an_input(
    name: str, width: int, height: int, input_px: tuple[int, int, int], seed: int
) -> None:
    contract = Preprocessing(*input_px, interpolation="bicubic")
    pixels = AUGMENTATIONS[name](picture(width, height), contract, np.random.default_rng(seed))
    assert (pixels.shape, pixels.dtype) == ((*input_px[1:], 3), np.uint8)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_draw_depends_on_its_generator_alone(name: str) -> None:
    image = picture(100, 73)
    before, state, global_state = image.tobytes(), random.getstate(), np.random.get_state()[1].tobytes()
    once = draws(name, image, PHOTO, 24)
    assert image.tobytes() == before, "the picture in the cache is changed"
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(AUGMENTATIONS[name], image, PHOTO, np.random.default_rng([7, n])) for n in range(24)]
        assert all(np.array_equal(a, job.result()) for a, job in zip(once, jobs, strict=True))
    assert random.getstate() == state and np.random.get_state()[1].tobytes() == global_state


def test_none_is_what_the_runtime_makes_and_the_others_vary() -> None:
    image = picture(100, 73)
    assert all(np.array_equal(pixels, PHOTO(image)) for pixels in draws("none", image, PHOTO, 3))
    for name in CHANGING:
        assert len({pixels.tobytes() for pixels in draws(name, image, PHOTO, 8)}) >= 7, name


@pytest.mark.parametrize(
    ("name", "contract", "colour", "left_right", "top_bottom"),
    [
        ("light", PHOTO, True, True, False),
        ("light", SMALL, False, True, False),
        ("standard", PHOTO, True, True, False),
        ("strong", PHOTO, True, True, False),
        ("document", PHOTO, True, False, False),
        ("document", SMALL, False, False, False),
        ("camera-trap", PHOTO, True, True, False),
        ("medical", PHOTO, True, True, True),
        ("medical", PHOTO, False, False, False),
        ("medical", SMALL, False, False, False),
    ],
)
def test_who_is_mirrored(name: str, contract: Preprocessing, colour: bool, left_right: bool, top_bottom: bool) -> None:
    side = contract.resize_px
    ramp = np.add.outer(np.arange(side) * 2, np.arange(side)) * (150 / (3 * side)) + 40
    grey = np.repeat(ramp[..., None], 3, axis=-1)
    image = Image.fromarray((grey * ((1, 0.7, 0.4) if colour else (1, 1, 1))).astype(np.uint8))
    found = [pixels.astype(float).mean(axis=-1) for pixels in draws(name, image, contract, 60)]
    third = contract.width_px // 3
    mirrored = sum(bool(p[:, :third].mean() > p[:, -third:].mean()) for p in found)
    upended = sum(bool(p[:third].mean() > p[-third:].mean()) for p in found)
    assert (15 <= mirrored <= 45) if left_right else mirrored <= 3, "turned right round it may lean the other way"
    assert (15 <= upended <= 45) if top_bottom else upended == 0


def test_a_small_picture_is_shifted_by_an_eighth_and_not_enlarged() -> None:
    rows, columns = np.mgrid[:32, :32]
    image = Image.fromarray(np.stack([rows, columns, rows * 0 + 99], axis=-1).astype(np.uint8))
    shifts = set()
    for pixels in draws("light", image, SMALL, 300):
        if pixels[16, 20, 1] < pixels[16, 10, 1]:
            pixels = pixels[:, ::-1]  # noqa: PLW2901
        down, right = (int(v) - 16 for v in pixels[16, 16, :2])
        shifts |= {(0, down), (1, right)}
        # What lies outside is the picture's mirror image: -1 is row 0 again, 32 is row 31.
        y, x = (np.arange(32) + shift for shift in (down, right))
        y, x = (np.where(index < 0, -1 - index, np.where(index > 31, 63 - index, index)) for index in (y, x))
        assert np.array_equal(pixels[..., 0], np.repeat(y[:, None], 32, axis=1))
        assert np.array_equal(pixels[..., 1], np.repeat(x[None], 32, axis=0))
    assert shifts == {(axis, shift) for axis in (0, 1) for shift in range(-4, 5)}


def test_a_photo_keeps_sixty_percent_of_its_area() -> None:
    rows, columns = np.mgrid[:146, :146]
    image = Image.fromarray(np.stack([rows, columns, rows * 0], axis=-1).astype(np.uint8))
    areas = []
    for pixels in draws("light", image, PHOTO, 200):
        high, wide = (float(np.ptp(pixels[..., axis])) * 64 / 63 / 146 for axis in (0, 1))
        areas.append(high * wide)
    assert 0.57 < min(areas) < 0.68 and 0.9 < max(areas) <= 1.02


def test_a_warp_turns_scales_and_moves_within_its_bounds() -> None:
    angles, radii, moves = [], [], []
    for seed in range(150):
        spun = warp(dot(201, 160, 100), np.random.default_rng(seed), degrees=15, scale=(0.9, 1.1))
        x, y = centre(spun) - 100.5
        angles.append(np.degrees(np.arctan2(y, x)))
        radii.append(np.hypot(x, y) / 60)
        moves.append(centre(warp(dot(201, 100, 100), np.random.default_rng(seed), shift=0.1)) - 100.5)
    assert -15.3 < min(angles) < -13 and 13 < max(angles) < 15.3
    assert 0.89 < min(radii) < 0.92 and 1.08 < max(radii) < 1.11
    assert 18 < np.abs(moves).max() < 20.3


def test_perspective_moves_corners_inwards_half_of_the_time() -> None:
    moves = []
    for seed in range(200):
        seen = warp(dot(200, 4, 4), np.random.default_rng(seed), distortion=0.2)
        moves.append(centre(seen) - 4.5)
    far = np.array(moves)
    assert far.min() > -1 and 14 < far.max() < 21
    assert 0.35 < (np.abs(far).max(axis=1) < 1e-6).mean() < 0.65


def test_what_comes_from_outside_has_the_colour_of_the_edge() -> None:
    page = Image.new("RGB", (73, 73), "white")
    page.paste("black", (20, 20, 53, 53))
    for name in ("document", "medical", "standard"):
        for pixels in draws(name, page, PHOTO, 40):
            assert pixels[[0, 0, -1, -1], [0, -1, 0, -1]].min() > 120, name


def test_elastic_moves_the_inside_a_little_and_the_edge_not_at_all() -> None:
    image = picture(128, 96)
    pulled = np.asarray(elastic(image, np.random.default_rng(0), reach=0.03)).astype(int)
    difference = np.abs(pulled - np.asarray(image))
    assert difference[1:-1, 1:-1].max() > 10
    assert max(difference[0].max(), difference[-1].max(), difference[:, 0].max(), difference[:, -1].max()) <= 3
    moves = [centre(elastic(dot(128, 64, 64), np.random.default_rng(n), reach=0.03)) - 64.5 for n in range(60)]
    assert 2.5 < np.abs(moves).max() < 5


def test_the_standard_preset_has_the_courses_colours() -> None:
    grey = [pixels.mean() / 128 for pixels in draws("standard", Image.new("RGB", (73, 73), (128,) * 3), PHOTO, 200)]
    assert 0.79 < min(grey) < 0.83 and 1.17 < max(grey) < 1.21
    angles = hues(draws("standard", Image.new("RGB", (73, 73), (140, 110, 110)), PHOTO, 200), (140, 110, 110))
    assert -39 < min(angles) < -30 and 30 < max(angles) < 39


def test_the_standard_preset_has_the_courses_geometry() -> None:
    whole = Preprocessing(resize_px=201, height_px=201, width_px=201, interpolation="bilinear")
    pair = Image.fromarray(np.maximum(np.asarray(dot(201, 40, 100)), np.asarray(dot(201, 160, 100))))
    angles, lengths, moves = [], [], []
    for pixels in draws("standard", pair, whole, 150):
        bright = np.where(pixels > 60, pixels, 0)
        left, right = bright.copy(), bright
        left[:, 100:], right[:, :100] = 0, 0
        one, other = centre(Image.fromarray(left)), centre(Image.fromarray(right))
        lengths.append(np.hypot(*(other - one)) / 120)
        angles.append(np.degrees(np.arctan2(*(other - one)[::-1])))
        moves.append((one + other) / 2 - 100.5)
    # The perspective adds a few degrees and pixels to the 15 and the 20, and takes up to a fifth of the size.
    assert 12 < -min(angles) < 20 and 12 < max(angles) < 20
    assert 0.7 < min(lengths) < 0.9 and 1.03 < max(lengths) < 1.12
    assert 15 < np.abs(moves).max() < 32


def test_two_of_five_at_a_camera_trap_are_grey_and_dark_and_none_turns_the_hue() -> None:
    plain = (160, 90, 120)
    found = draws("camera-trap", Image.new("RGB", (73, 73), plain), PHOTO, 200)
    dark = [p for p in found if np.ptp(p.astype(int), axis=-1).max() == 0]
    lit = [p for p in found if np.ptp(p.astype(int), axis=-1).max() > 0]
    assert 60 <= len(dark) <= 100
    luma = float(np.dot(plain, (0.299, 0.587, 0.114)))
    levels = [p.mean() / luma for p in dark]
    assert 0.24 < min(levels) < 0.32 and 0.92 < max(levels) < 1.03
    assert max(p.std() for p in dark) > 5, "no grain"
    assert max(map(abs, hues(lit, plain))) < 3
    bright = [float(np.dot(p.mean(axis=(0, 1)), (0.299, 0.587, 0.114))) / luma for p in lit]
    assert 0.58 < min(bright) < 0.67 and 1.2 < max(bright) < 1.32


@pytest.mark.parametrize("name", ["light", "document", "medical"])
def test_presets_that_leave_the_hue_alone(name: str) -> None:
    found = draws(name, Image.new("RGB", (73, 73), (160, 90, 120)), PHOTO, 60)
    assert max(map(abs, hues(found, (160, 90, 120)))) < 3


def hues(found: list[NDArray[np.uint8]], original: tuple[int, int, int]) -> list[float]:
    """Degrees by which the mean colour has turned about the grey axis."""
    vectors = [complex(*(TO_IQ @ colour)) for colour in [np.array(original), *(p.mean(axis=(0, 1)) for p in found)]]
    return [float(np.degrees(np.angle(vector / vectors[0]))) for vector in vectors[1:]]


@pytest.mark.parametrize("level", [0, 60, 128, 255])
def test_a_turned_hue_does_not_tint_grey(level: int) -> None:
    image = Image.new("RGB", (9, 9), (level,) * 3)
    for seed in range(20):
        pixels = np.asarray(recolour(image, np.random.default_rng(seed), contrast=0.2, saturation=0.2, hue=0.5))
        assert np.abs(pixels.astype(int) - level).max() <= 1


def test_a_turned_hue_keeps_luma_and_saturation() -> None:
    colour = np.array([140, 110, 115])
    chroma, luma = np.hypot(*(TO_IQ @ colour)), np.array([0.299, 0.587, 0.114])
    for seed in range(60):
        turned = np.asarray(recolour(Image.new("RGB", (2, 2), tuple(colour)), np.random.default_rng(seed), hue=0.5))[
            0, 0
        ]
        assert np.hypot(*(TO_IQ @ turned)) == pytest.approx(chroma, abs=1)
        assert luma @ turned == pytest.approx(luma @ colour, abs=1)


def test_saturation_and_contrast_stay_within_their_bounds() -> None:
    image = Image.fromarray(np.array([[[90] * 3, [150] * 3]], dtype=np.uint8))
    colour = Image.new("RGB", (4, 4), (150, 110, 110))
    gaps, depths = [], []
    for seed in range(200):
        pixels = np.asarray(recolour(image, np.random.default_rng(seed), contrast=0.2)).astype(int)
        gaps.append((pixels[0, 1, 0] - pixels[0, 0, 0]) / 60)
        depths.append(np.ptp(np.asarray(recolour(colour, np.random.default_rng(seed), saturation=0.2))) / 40)
    for ratios in (gaps, depths):
        assert 0.77 < min(ratios) < 0.84 and 1.16 < max(ratios) < 1.23


def test_blur_softens_grain_roughens_and_jpeg_leaves_traces() -> None:
    edge = Image.new("RGB", (224, 224), "black")
    edge.paste("white", (112, 0, 224, 224))
    steps = [
        np.diff(np.asarray(blur(edge, np.random.default_rng(n), most_px=1.5))[100, :, 0].astype(int)).max()
        for n in range(20)
    ]
    assert min(steps) < 100 < max(steps)
    flat = Image.new("RGB", (64, 64), (128,) * 3)
    rough = [np.asarray(grain(flat, np.random.default_rng(n), most=8)).std() for n in range(40)]
    assert min(rough) < 1.5 and 6 < max(rough) < 8.5
    image = picture(64, 64)
    errors = [
        np.abs(np.asarray(jpeg(image, np.random.default_rng(0), quality=(q, q))).astype(int) - np.asarray(image)).mean()
        for q in (20, 95)
    ]
    assert 0 < errors[1] < errors[0] < 20


def test_erasing_takes_a_rectangle_of_the_asked_area() -> None:
    image = picture(100, 100)
    for seed in range(60):
        pixels = np.asarray(erase(image, np.random.default_rng(seed), area=(0.02, 0.2)))
        gone = (pixels != np.asarray(image)).any(axis=-1)
        rows, columns = np.flatnonzero(gone.any(axis=1)), np.flatnonzero(gone.any(axis=0))
        box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1) / 10_000
        assert 0.015 < box < 0.215
        inside = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].reshape(-1, 3)
        assert (inside == inside[0]).all()


@pytest.mark.parametrize("name", CHANGING)
@pytest.mark.parametrize("contract", [SMALL, PHOTO])
def test_a_picture_stays_a_picture(name: str, contract: Preprocessing) -> None:
    image = picture(contract.resize_px, contract.resize_px, seed=3)
    # Of colours without any light, as at night, less is left.
    least = np.asarray(image).std() / (8 if name == "camera-trap" else 4)
    for pixels in draws(name, image, contract, 150):
        assert pixels.std() > least and 25 < pixels.mean() < 230, "black, white or flat"


def test_strong_changes_more_than_light() -> None:
    image = picture(73, 73)
    plain = PHOTO(image).astype(int)
    light, strong = (
        np.mean(
            [np.abs(np.sort(p, axis=None) - np.sort(plain, axis=None)).mean() for p in draws(name, image, PHOTO, 60)]
        )
        for name in ("light", "strong")
    )
    assert strong > 1.5 * light


def test_strong_makes_two_changes_of_thirteen() -> None:
    # On a plain grey picture brightness alone shows: two draws of thirteen have it 15 % of the time.
    levels = np.array([p.mean() for p in draws("strong", Image.new("RGB", (73, 73), (128,) * 3), PHOTO, 400)])
    assert 0.10 < (np.abs(levels - 128) > 9).mean() < 0.19
    assert 63 < levels.min() < 80 and 176 < levels.max() < 193


def test_an_unknown_preset_is_answered_with_the_known() -> None:
    with pytest.raises(UsageError, match=r"`augment` stong is not known .*light, standard.*strong"):
        find_augmentation("stong")


def test_every_preset_is_advised_on_and_documented() -> None:
    assert list(AUGMENTATION_ADVICE) == list(AUGMENTATIONS)
    page = (Path(__file__).parents[3] / "docs" / "augmentation.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page for name in AUGMENTATIONS)
