"""Drawn pictures whose truth is known, listed: several shapes at once, or one whose shape and colour are two tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["draw_labels", "draw_tasks"]

SHAPES = ("circle", "square", "triangle")
COLOURS = {"blue": (30, 60, 220), "green": (30, 170, 60), "red": (220, 40, 30)}
_SIDE_PX = 48


def draw_labels(folder: Path, count: int, *, seed: int = 0) -> Path:
    """A list of `count` pictures with none to three shapes each, as `path,label` with cells such as circle|square."""
    draw = np.random.default_rng(seed)
    rows = ["path,label"]
    for number in range(count):
        there = [shape for shape in SHAPES if draw.random() < 0.5]
        corners = draw.permutation(4)
        picture = _canvas(draw)
        for shape, corner in zip(there, corners, strict=False):
            at = (3 + 24 * (corner % 2), 3 + 24 * (corner // 2))
            _draw(picture, shape, at, 18, list(COLOURS.values())[draw.integers(3)])
        rows.append(f"{_save(folder, number, picture)},{'|'.join(there)}")
    return _list(folder, rows)


def draw_tasks(folder: Path, count: int, *, missing: float = 0.3, seed: int = 0) -> Path:
    """A list of `count` pictures of one shape, as `path,shape,colour`; a share of the colours is `missing`."""
    draw = np.random.default_rng(seed)
    rows = ["path,shape,colour"]
    for number in range(count):
        shape, colour = SHAPES[draw.integers(3)], list(COLOURS)[draw.integers(3)]
        picture = _canvas(draw)
        size = int(draw.integers(20, 32))
        at = (int(draw.integers(2, 46 - size)), int(draw.integers(2, 46 - size)))
        _draw(picture, shape, at, size, COLOURS[colour])
        rows.append(f"{_save(folder, number, picture)},{shape},{'' if draw.random() < missing else colour}")
    return _list(folder, rows)


def _canvas(draw: np.random.Generator) -> Image.Image:
    grey = draw.integers(225, 255, (_SIDE_PX, _SIDE_PX, 3), dtype=np.uint8)
    return Image.fromarray(grey)


def _draw(picture: Image.Image, shape: str, at: tuple[int, int], size: int, colour: tuple[int, int, int]) -> None:
    pen = ImageDraw.Draw(picture)
    left, top, right, bottom = at[0], at[1], at[0] + size, at[1] + size
    if shape == "circle":
        pen.ellipse((left, top, right, bottom), fill=colour)
    elif shape == "square":
        pen.rectangle((left, top, right, bottom), fill=colour)
    else:
        pen.polygon([(left, bottom), (right, bottom), ((left + right) // 2, top)], fill=colour)


def _save(folder: Path, number: int, picture: Image.Image) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{number:04}.png"
    picture.save(folder / name)
    return name


def _list(folder: Path, rows: list[str]) -> Path:
    path = folder / "list.csv"
    path.write_text("".join(f"{row}\n" for row in rows))
    return path
