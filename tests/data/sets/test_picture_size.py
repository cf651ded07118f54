"""How large the model's input is for pictures, and that their headers are read whatever the format."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from edge_data import input_size, typical_short_side_px
from edge_runtime import scan


def write(root: Path, suffix: str, size_px: tuple[int, int]) -> None:
    for label in ("ant", "bee"):
        (root / label).mkdir(parents=True)
        for number in range(3):
            path = root / label / f"{number}.{suffix}"
            image = Image.new("RGB", size_px, "red")
            if suffix == "heic":
                pytest.importorskip("pillow_heif").from_pillow(image).save(path)
            else:
                image.save(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "heic"])
def test_the_size_is_that_of_the_header(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, suffix, (500, 333))
    # HEIC encoders count in even numbers of pixels.
    assert typical_short_side_px(scan(tmp_path)) in (333, 332, 334)


def test_what_does_not_open_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "png", (50, 40))
    for number in range(5):
        (tmp_path / "ant" / f"bad{number}.png").write_bytes(b"no picture")
    assert typical_short_side_px(scan(tmp_path)) == 40


def test_pictures_of_unknown_size_are_taken_for_photos(tmp_path: Path) -> None:
    for label in ("ant", "bee"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "bad.png").write_bytes(b"no picture")
    assert typical_short_side_px(scan(tmp_path)) is None
    assert input_size(None, 224, asked_px=None, set_px=None) == (224, False)
    assert input_size(None, 224, asked_px=96, set_px=None) == (96, False)
    assert input_size(100, 224, asked_px=None, set_px=None) == (224, True)
    assert input_size(20, 224, asked_px=None, set_px=None) == (64, True)
