"""Small pictures of one colour each in folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["draw_photos"]

COLOURS = ("red", "lime", "blue")


def draw_photos(folder: Path, count: int, side: int = 40) -> Path:
    """So many pictures in two folders below `folder`, by turns red, green and blue; each third a JPEG.

    Larger than 100 pixels they are noisy, too, so that reading one takes a while.
    """
    noise = np.random.default_rng(0).integers(0, 60, (side, side, 3), np.uint8) if side > 100 else None
    for number in range(count):
        place = folder / ("near" if number % 2 else "far/away") / f"{number}.{'png' if number % 3 else 'jpg'}"
        place.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.new("RGB", (side, side), COLOURS[number % 3])
        if noise is not None:
            picture = Image.fromarray(np.maximum(np.asarray(picture), noise))
        picture.save(place)
    return folder
