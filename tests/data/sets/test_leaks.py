"""What held-out pictures share with training: told with its share, by look and by the groups a person names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_data import ImageStore
from edge_data.sets.leaks import Leak, find_leaks
from edge_data.sets.looks import LookBook
from edge_data.sets.splits import split
from edge_runtime import ClassFolders, DataError, Preprocessing, Sample, scan

SMALL = Preprocessing(resize_px=64, height_px=64, width_px=64, interpolation="bilinear")


def leaks_of(root: Path, by: str = "auto") -> tuple[Leak, ...]:
    """The leaks of a folder that brings its split, from what a store decodes for training."""
    folders = scan(root)
    splits, book = split(folders, seed=0), LookBook()
    store = ImageStore(root, SMALL, cache_bytes=1 << 30, threads=2)
    assert not store.read_all(splits.train, (*splits.val, *splits.test), on_resized=book.add)
    return find_leaks(folders, splits, book, by)


def test_x_rays_that_validate_and_train(xrays: Path) -> None:
    (leak,) = leaks_of(xrays)
    # Four are byte for byte the same, under the same names; the others were saved in another brightness and size.
    assert leak.split == "val" and leak.of == 66 and 8 <= leak.images <= 12
    assert f"{leak.images} of 66 val images stand in training, too ({leak.images / 66:.1%})" in leak.text
    assert all(name in leak.text for name in leak.example)
    assert leak.example[0].startswith("val/") and leak.example[1].startswith("train/")
    assert leaks_of(xrays, "none") == ()


def test_photos_without_a_leak(hymenoptera: Path) -> None:
    assert leaks_of(hymenoptera) == ()


def test_copies_without_structure_are_found_by_their_pixels(tmp_path: Path) -> None:
    texture = {number: np.random.default_rng(number).integers(90, 160, (80, 100, 3), np.uint8) for number in range(8)}
    for place, numbers in (
        ("train/rough", (0, 1)),
        ("train/smooth", (2, 3)),
        ("val/rough", (0, 4)),
        ("val/smooth", (5, 6)),
    ):
        (tmp_path / place).mkdir(parents=True)
        for number in numbers:
            Image.fromarray(texture[number]).save(tmp_path / place / f"{place[:3]}{number}.png")
    (leak,) = leaks_of(tmp_path)
    assert (leak.images, leak.of, leak.example) == (1, 4, ("val/rough/val0.png", "train/rough/tra0.png"))


@pytest.mark.parametrize("size_px", [(300, 240), (1600, 240), (150, 1100)])
def test_copies_of_strips_are_found_though_training_cuts_them(tmp_path: Path, size_px: tuple[int, int]) -> None:
    for split_name, numbers in (("train", range(4)), ("val", (0, 8))):
        for label in ("a", "b"):
            (tmp_path / split_name / label).mkdir(parents=True)
            for number in numbers:
                small = np.random.default_rng([number, ord(label)]).integers(0, 256, (7, 40, 3), np.uint8)
                image = Image.fromarray(small).resize(size_px, Image.Resampling.BICUBIC)
                image.save(tmp_path / split_name / label / f"{split_name}{number}.png")
    (leak,) = leaks_of(tmp_path)
    assert (leak.images, leak.of) == (2, 4)


def by_name(**splits: list[str]) -> tuple[ClassFolders, LookBook]:
    """A folder of pictures that nobody has seen."""
    samples = {name: tuple(Sample(f"{name}/{path}", 0) for path in paths) for name, paths in splits.items()}
    return ClassFolders(Path("data"), ("a", "b"), samples, (), ""), LookBook()


def test_named_groups_on_both_sides() -> None:
    folders, book = by_name(train=["a/p1_0.jpg", "a/p2_0.jpg"], val=["a/p1_1.jpg", "a/p3_0.jpg"], test=["a/p2_9.jpg"])
    splits = split(folders, seed=0)
    val, test = find_leaks(folders, splits, book, r"p(\d+)")
    assert (val.split, val.images, val.of, val.example) == ("val", 1, 2, ("val/a/p1_1.jpg", "train/a/p1_0.jpg"))
    assert (test.split, test.images, test.of) == ("test", 1, 1)
    assert "of one group by p(\\d+)" in val.text and "1 of 2 val image stands in training" in val.text
    assert find_leaks(folders, splits, book) == ()
    with pytest.raises(DataError, match="5 of 5 images"):
        find_leaks(folders, splits, book, "q")
