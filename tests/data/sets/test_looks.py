"""What pictures look like: the same from a file and from what a store decodes of it, and kept between runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_data.sets.looks import LookBook, look_at
from edge_runtime import Silence, decode


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    random = np.random.default_rng(0)
    for number in range(6):
        small = Image.fromarray(random.integers(0, 256, (5, 5, 3), np.uint8))
        picture = small.resize((300, 200), Image.Resampling.BICUBIC)
        picture.save(tmp_path / f"{number}.{'jpg' if number % 2 else 'png'}")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    return [path.name for path in sorted(tmp_path.iterdir())]


def test_looks_are_in_the_order_asked_for_and_bad_files_have_none(tmp_path: Path, pictures: list[str]) -> None:
    looks = look_at(tmp_path, [*pictures, "gone.png"], Silence(), threads=2)
    assert [len(digest) for digest in looks.digests] == [16] * 7 + [0]
    assert len(set(looks.digests)) == 8
    assert looks.luma.shape == (8, 16, 16) and looks.chroma.shape == (8, 4, 4, 2)
    assert not looks.luma[[6, 7]].any() and looks.luma[:6].any(axis=(1, 2)).all()
    again = look_at(tmp_path, pictures[::-1], Silence(), threads=1)
    assert np.array_equal(again.luma, looks.luma[:7][::-1]) and again.digests == looks.digests[:7][::-1]


def test_luma_and_chroma_are_those_of_the_picture(tmp_path: Path) -> None:
    Image.new("RGB", (50, 40), (200, 30, 60)).save(tmp_path / "red.png")
    looks = look_at(tmp_path, ["red.png"], Silence(), threads=1)
    luma, blue, red = Image.new("RGB", (1, 1), (200, 30, 60)).convert("YCbCr").getpixel((0, 0))  # type: ignore[misc]
    assert np.abs(looks.luma.astype(int) - luma).max() <= 1
    assert np.abs(looks.chroma.astype(int) - (blue, red)).max() <= 1


def test_a_book_sees_nearly_what_the_files_say(tmp_path: Path, pictures: list[str]) -> None:
    book, rest = LookBook(), LookBook()
    for number, name in enumerate(pictures[:6]):
        (rest if number % 2 else book).add(name, decode(tmp_path / name, reduce_to_px=64))
    book.update(rest)
    looks, files = book.looks(pictures), look_at(tmp_path, pictures, Silence(), threads=1)
    assert np.abs(looks.luma.astype(int) - files.luma).mean(axis=(1, 2)).max() <= 2
    assert not looks.luma[6].any() and set(looks.digests) == {b""}
