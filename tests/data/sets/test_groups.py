"""Which pictures belong together: copies, bursts and named ones do; pictures that only resemble each other do not."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from edge_data.sets.groups import alike, group_pictures, join_groups
from edge_data.sets.looks import Looks
from edge_runtime import DataError, scan


def scene(seed: int, side: int = 160) -> Image.Image:
    """A picture with the spectrum of photos: coarse forms, and finer ones on them."""
    random = np.random.default_rng(seed)
    total = np.zeros((side, side, 3), np.float32)
    for cells, strength in ((3, 70), (6, 40), (14, 18)):
        noise = Image.fromarray(random.integers(0, 256, (cells, cells, 3), np.uint8))
        total += (np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC), np.float32) - 128) * strength / 128
    return Image.fromarray((total + 128).clip(0, 255).astype(np.uint8))


def grouped(root: Path, by: str = "auto") -> list[set[str]]:
    """The groups of two or more that are found in a data folder."""
    folders = scan(root)
    samples = [sample for split in folders.splits.values() for sample in split]
    found: dict[str, set[str]] = {}
    for sample, name in zip(samples, group_pictures(folders, samples, by), strict=True):
        found.setdefault(name, set()).add(sample.path)
    return sorted((group for group in found.values() if len(group) > 1), key=min)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for number in range(12):
        label = "ant" if number % 2 else "bee"
        (root / label).mkdir(parents=True, exist_ok=True)
        scene(number).save(root / label / f"{number}.png")
    return root


def test_unlike_pictures_stand_alone_and_are_called_by_their_paths(data: Path) -> None:
    folders = scan(data)
    samples = folders.splits["all"]
    assert group_pictures(folders, samples) == tuple(sample.path for sample in samples)


def test_a_copy_under_another_name_and_label_is_one_group_called_by_its_first(data: Path) -> None:
    shutil.copy(data / "ant/3.png", data / "bee/10b.png")
    folders = scan(data)
    names = dict(
        zip([s.path for s in folders.splits["all"]], group_pictures(folders, folders.splits["all"]), strict=True)
    )
    assert {path for path, name in names.items() if name == "ant/3.png"} == {"ant/3.png", "bee/10b.png"}


def test_blank_copies_are_one_group_and_unreadable_files_stop_nothing(data: Path) -> None:
    for name in ("ant/white.png", "ant/white again.png"):
        Image.new("RGB", (40, 40), "white").save(data / name)
    Image.new("RGB", (40, 41), "white").save(data / "ant/other white.png")
    for name in ("ant/cut.png", "bee/cut.png"):
        (data / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    (data / "bee/empty.png").touch()
    assert grouped(data) == [{"ant/cut.png", "bee/cut.png"}, {"ant/white.png", "ant/white again.png"}]


@pytest.mark.parametrize("change", ["smaller and worse", "moved a little", "a thing moved", "darker", "closer"])
def test_frames_of_one_scene_are_one_group(data: Path, change: str) -> None:
    large = scene(99, 200)
    one, other = large.crop((8, 8, 192, 192)), large.crop((8, 8, 192, 192))
    if change == "smaller and worse":
        other = other.resize((90, 90))
    elif change == "moved a little":
        other = large.crop((9, 10, 193, 194))
    elif change == "a thing moved":
        one.paste((90, 90, 90), (20, 100, 30, 110))
        other.paste((90, 90, 90), (60, 110, 70, 120))
    elif change == "darker":
        other = other.point(lambda value: value * 0.9)
    else:
        other = large.crop((10, 10, 190, 190))
    one.save(data / "ant/z1.png")
    other.save(data / "ant/z2.jpg", quality=50)
    assert grouped(data) == [{"ant/z1.png", "ant/z2.jpg"}]


def test_things_on_white_are_not_taken_for_one_another(tmp_path: Path) -> None:
    for number in range(40):
        random = np.random.default_rng(number)
        picture = Image.new("RGB", (96, 96), (245, 245, 245))
        width, height = random.integers(20, 60, 2).tolist()
        left, top = random.integers(5, 35, 2).tolist()
        picture.paste(tuple(random.integers(0, 200, 3).tolist()), (left, top, left + width, top + height))
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        picture.save(tmp_path / "ab"[number % 2] / f"{number}.png")
    # Two of the forty rectangles are of one size, at one place.
    assert sum(map(len, grouped(tmp_path))) <= 2


def test_named_groups_take_in_the_copies_of_their_pictures(data: Path) -> None:
    for label, number in (("ant", 1), ("ant", 3), ("bee", 2), ("bee", 4)):
        place = data / label / ("seven" if number < 3 else "eight")
        place.mkdir(exist_ok=True)
        (data / label / f"{number}.png").rename(place / f"{number}.png")
    for path in [*data.glob("*/*.png")]:
        (path.with_suffix("")).mkdir()
        path.rename(path.with_suffix("") / path.name)
    assert grouped(data, "folder") == [{"ant/eight/3.png", "bee/eight/4.png"}, {"ant/seven/1.png", "bee/seven/2.png"}]
    shutil.copy(data / "ant/eight/3.png", data / "ant/11/copy.png")
    assert {"ant/eight/3.png", "bee/eight/4.png", "ant/11/copy.png", "ant/11/11.png"} in grouped(data, "folder")


def test_a_column_names_groups_by_path(data: Path) -> None:
    folders = scan(data)
    samples = folders.splits["all"]
    column = {"ant/1.png": "p1", "bee/2.png": "p1", "bee/4.png": ""}
    names = dict(zip([s.path for s in samples], group_pictures(folders, samples, column=column), strict=True))
    assert [path for path, name in names.items() if name == "p1"] == ["ant/1.png", "bee/2.png"]
    assert names["bee/4.png"] == "bee/4.png"


def test_one_group_of_everything_is_refused(data: Path) -> None:
    with pytest.raises(DataError, match="puts all 12 images into one group, 'png'"):
        grouped(data, "png")


def test_where_looks_alone_make_one_group_of_everything_another_name_does_not_help(tmp_path: Path) -> None:
    for number in range(6):
        folder = tmp_path / ("bee", "ant")[number % 2]
        folder.mkdir(exist_ok=True)
        scene(0).save(folder / f"part{number}.png")
    with pytest.raises(DataError, match=r"puts all 6 images into one group, '1' .*`group_by` none keeps nothing"):
        grouped(tmp_path, r"part(\d)")


def test_none_looks_at_no_picture(data: Path) -> None:
    shutil.copy(data / "ant/3.png", data / "bee/10b.png")
    assert grouped(data, "none") == []


@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(0, 19), min_size=2, max_size=5), max_size=8), st.permutations(range(20)))
def test_groups_that_touch_are_one_in_any_order(pairs: Sequence[Sequence[int]], order: Sequence[int]) -> None:
    paths = [f"{n}.jpg" for n in range(20)]
    names = join_groups(paths, [""] * 20, pairs)
    shuffled = join_groups([paths[n] for n in order], [""] * 20, [[order.index(n) for n in pair] for pair in pairs])
    assert dict(zip(paths, names, strict=True)) == dict(zip([paths[n] for n in order], shuffled, strict=True))
    for pair in pairs:
        assert len({names[n] for n in pair}) == 1
    assert all(names[int(name.split(".")[0])] == name for name in names)


def photos(count: int) -> Looks:
    """Looks of unlike pictures with the spectrum of photos."""
    random = np.random.default_rng(0)
    place = np.arange(16)
    cosines = np.cos(np.pi * place[:, None] * (2 * place + 1) / 32).astype(np.float32)
    luma = np.empty((count, 16, 16), np.uint8)
    for start in range(0, count, 20_000):
        part = luma[start : start + 20_000]
        waves = random.standard_normal(part.shape, np.float32) / (1 + place[:, None] + place)
        shapes = cosines.T @ waves @ cosines
        shapes -= shapes.mean(axis=(1, 2), keepdims=True)
        part[:] = (shapes / shapes.std(axis=(1, 2), keepdims=True) * 45 + 120).clip(0, 255)
    chroma = random.integers(100, 150, (count, 4, 4, 2), np.uint8)
    return Looks(tuple(n.to_bytes(16, "big") for n in range(count)), luma, chroma)


def test_bursts_are_found_among_two_hundred_thousand_pictures_and_nothing_else() -> None:
    looks, bursts = photos(200_000), 2_000
    frames = looks.luma[:bursts].astype(np.float32)
    for number in range(1, 4):
        noise = np.random.default_rng(number).normal(0, 8, frames.shape)
        place = slice(50_000 * number, 50_000 * number + bursts)
        looks.luma[place], looks.chroma[place] = (frames + noise).clip(0, 255), looks.chroma[:bursts]
    found = Counter(tuple(group) for group in alike(looks))
    whole = [(n, *(50_000 * k + n for k in range(1, 4))) for n in range(bursts)]
    assert sum(group in found for group in whole) >= 0.99 * bursts
    assert max(map(len, found)) <= 5 and len(found) <= bursts + 20


def test_real_photos_hold_no_chains(flowers: Path) -> None:
    groups = grouped(flowers)
    assert 15 <= len(groups) <= 30 and max(map(len, groups)) == 2


def test_scans_and_things_on_white_hold_no_chains(xrays: Path, recyclables: Path) -> None:
    scans, things = grouped(xrays), grouped(recyclables)
    assert 10 <= len(scans) <= 16 and max(map(len, scans)) <= 4
    assert 20 <= len(things) <= 40 and max(map(len, things)) <= 3
