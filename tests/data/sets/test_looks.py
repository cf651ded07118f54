"""What pictures look like: the same from a file and from what a store decodes of it, and kept between runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_data.sets import look_cache, look_records
from edge_data.sets.looks import LookBook, look_at
from edge_runtime import ImageError, Silence, decode


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
    assert not looks.luma[6].any() and looks.digests[6] == b""
    assert len(set(looks.digests)) == 7, "a digest of the pixels of each"


def test_nothing_is_looked_at_twice_until_it_changes(
    tmp_path: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(look_cache, "_WORTH_KEEPING", 1)
    looked: list[str] = []
    plain = look_records.see
    monkeypatch.setattr(look_records, "see", lambda root, paths: looked.extend(paths) or plain(root, paths))
    first = look_at(tmp_path, pictures, Silence(), threads=1)
    assert looked == pictures
    looked.clear()
    again = look_at(tmp_path, ["3.jpg", *pictures[:2]], Silence(), threads=1)
    assert looked == [] and again.digests == tuple(first.digests[n] for n in (3, 0, 1))
    assert np.array_equal(again.luma, first.luma[[3, 0, 1]]) and np.array_equal(again.chroma, first.chroma[[3, 0, 1]])
    Image.new("RGB", (30, 30), "red").save(tmp_path / "0.png")
    (tmp_path / "1.jpg").unlink()
    look_at(tmp_path, pictures, Silence(), threads=1)
    # What could not be decoded is tried again: only a package for it may have been missing.
    assert looked == ["0.png", "1.jpg", "bad.png"]


def test_a_picture_that_could_not_be_decoded_for_once_is_looked_at_again(
    tmp_path: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """pillow-heif is installed after a first run; a grey and a black picture are decoded all the same."""
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(look_cache, "_WORTH_KEEPING", 1)
    Image.new("RGB", (30, 30), "black").save(tmp_path / "black.png")
    paths = [*pictures, "black.png"]

    def refuse(*_: object, **__: object) -> Image.Image:
        raise ImageError("no package for it", "install it", "not-supported")

    with monkeypatch.context() as without:
        without.setattr(look_records, "decode", refuse)
        assert not look_at(tmp_path, paths, Silence(), threads=1).luma.any()
    found = look_at(tmp_path, paths, Silence(), threads=1)
    assert found.luma[:6].any(axis=(1, 2)).all()
    looked: list[str] = []
    plain = look_records.see
    monkeypatch.setattr(look_records, "see", lambda root, paths: looked.extend(paths) or plain(root, paths))
    look_at(tmp_path, paths, Silence(), threads=1)
    assert looked == ["bad.png"]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", b"\x80\x04pickle"])
def test_a_damaged_cache_is_made_again_and_one_that_cannot_be_written_is_done_without(
    tmp_path: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(look_cache, "_WORTH_KEEPING", 1)
    first = look_at(tmp_path, pictures, Silence(), threads=1)
    (file,) = (tmp_path / "cache/looks").iterdir()
    file.write_bytes(damage)
    assert look_at(tmp_path, pictures, Silence(), threads=1).digests == first.digests
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "0.png/cache"))
    assert look_at(tmp_path, pictures, Silence(), threads=1).digests == first.digests


def test_small_folders_leave_nothing_in_the_cache(
    tmp_path: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    look_at(tmp_path, pictures, Silence(), threads=1)
    assert not (tmp_path / "cache").exists()
