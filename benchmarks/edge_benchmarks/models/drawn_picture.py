"""The picture every contestant classifies where the user names none: drawn, so that it needs no file and no network."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

DRAWN = "a drawn picture, 640×480 JPEG"

WIDTH_PX, HEIGHT_PX = 640, 480
SEED = 20


def draw_picture(path: Path) -> Path:
    """Write a 640 × 480 JPEG of overlapping shapes with a camera's grain to `path`, and give `path` back.

    The same picture each time. The grain makes it cost a decoder what a photo does: a flat drawing is a fifth of the
    bytes and decodes faster than anything a camera makes.
    """
    choose = random.Random(SEED)
    picture = Image.linear_gradient("L").resize((WIDTH_PX, HEIGHT_PX)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    for _ in range(60):
        left, top = choose.randrange(WIDTH_PX), choose.randrange(HEIGHT_PX)
        width, height = choose.randrange(20, 160), choose.randrange(20, 160)
        colour = tuple(choose.randrange(256) for _ in range(3))
        shape = draw.ellipse if choose.random() < 0.5 else draw.rectangle
        shape((left, top, left + width, top + height), fill=colour)
    grain = Image.frombytes("RGB", (WIDTH_PX, HEIGHT_PX), choose.randbytes(WIDTH_PX * HEIGHT_PX * 3))
    Image.blend(picture, grain.filter(ImageFilter.GaussianBlur(1)), 0.25).save(path, "JPEG", quality=90)
    return path
