"""The course's synthetic data set: a circle, a square or a triangle on a plain, graded or grainy background.

Shapes are darker than their background and turned by up to 25 degrees: with both polarities and every angle, 300
pictures are too few for a network that starts from nothing.

Every picture is a function of the seed, its split, its shape and its number alone, and everything but the
choice of colours and corners is integer arithmetic, so the set is the same pixel for pixel wherever it is drawn.
"""

from __future__ import annotations

import colorsys
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_runtime import OutputError, UsageError, as_kind, cache_folder

SHAPES = ("circle", "square", "triangle")
CONTRAST = 64
"""Of 255: the least difference in luma (ITU-R BT.601) between a shape and every pixel of its background."""

_VERSION = 1  # part of the cached set's name: raise it whenever a pixel changes
_SPLITS = ("train", "val", "test")
_COUNTS = (300, 60, 60)
_SUBSAMPLES = 4  # per pixel and axis
_UNITS = 2 * _SUBSAMPLES  # per pixel, so that the centre of every subsample has whole coordinates
_LUMA = np.array([299, 587, 114])

Pixels = NDArray[np.uint8]
Grid = NDArray[np.int64]


@dataclass(frozen=True)
class Drawing:
    """`pixels` is [H, W, 3] uint8 RGB; `coverage` is [H, W], how much of a pixel the shape covers, 0 to 16."""

    pixels: Pixels
    coverage: Grid


def shapes_folder() -> Path:
    """The default set in the cache, drawn on first use. Raises OutputError when it cannot be written."""
    folder = cache_folder() / f"shapes-0-v{_VERSION}"
    try:
        return folder if _is_complete(folder) else _fill(folder)
    except (OSError, OutputError) as error:
        reason = error.message if isinstance(error, OutputError) else f"{folder}: {error.strerror}"
        raise OutputError(
            f"the shapes set cannot be kept in the cache: {reason}",
            "set EDGE_CACHE to a folder that can be written",
        ) from None


def draw_shapes(
    folder: str | Path, *, counts: tuple[int, int, int] = _COUNTS, seed: int = 0, size_px: int = 96
) -> Path:
    """Draw `folder`/{train,val,test}/{circle,square,triangle}/NNNN.png and return `folder`.

    `counts` are images in train, val and test over all three classes; val and test may be 0. The folder
    appears complete or not at all. Raises UsageError for a folder that is in use or for settings that make
    no sense, OutputError when it cannot be written.
    """
    folder = Path(as_kind(folder, Path, "`folder`"))
    counts = as_kind(counts, tuple[int, ...], "`counts`")
    seed, size_px = as_kind(seed, int, "`seed`"), as_kind(size_px, int, "`size_px`")
    _check(folder, counts, seed, size_px)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            # One level down, because the temporary folder itself is closed to other users.
            made = Path(temporary) / folder.name
            _draw_all(made, counts, seed, size_px)
            if os.name == "nt" and folder.exists():
                folder.rmdir()  # Windows renames onto no folder, not even onto an empty one
            made.rename(folder)
    except OSError as error:
        if _in_use(folder):
            raise _taken(folder) from None
        raise OutputError(f"{folder} cannot be written: {error.strerror}", "choose another folder") from None
    return folder


def draw(shape: str, *, seed: int, split: str, index: int, size_px: int = 96) -> Drawing:
    """Draw picture number `index` of one shape in one split: always the same one."""
    key = [seed, _SPLITS.index(split), index, SHAPES.index(shape)]
    random = np.random.Generator(np.random.PCG64(key))
    background = _background(random, size_px)
    coverage = _shape(random, shape, size_px)
    darkest = int((background @ _LUMA).min()) // 1000
    colour = _colour(random, saturation=(0.6, 1.0), luma=(25, darkest - CONTRAST - 1))
    return Drawing(_blend(background, coverage, colour).astype(np.uint8), coverage)


def _check(folder: Path, counts: tuple[int, int, int], seed: int, size_px: int) -> None:
    least = len(SHAPES)
    if len(counts) != 3:
        raise UsageError(f"counts of {counts} are not three", "give those of train, val and test")
    if counts[0] < least or any(count < least and count != 0 for count in counts):
        raise UsageError(f"counts of {counts} leave a class without images", f"use {least} or more in each")
    if seed < 0:
        raise UsageError(f"seed {seed} is negative", "use 0 or more")
    if not 32 <= size_px <= 1024:
        raise UsageError(f"{size_px} pixels is no size for these pictures", "use 32 to 1024")
    if _in_use(folder):
        raise _taken(folder)


def _in_use(folder: Path) -> bool:
    try:
        return folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))
    except OSError as error:
        raise OutputError(f"{folder} cannot be read: {error.strerror}", "choose another folder") from None


def _taken(folder: Path) -> UsageError:
    what = "is not empty" if folder.is_dir() else "is a file"
    return UsageError(f"{folder} {what}", "choose another folder; nothing is overwritten")


def _fill(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".shapes-", dir=folder.parent) as temporary:
        if folder.exists():
            # Something took images away. One rename, because another process may be looking.
            folder.rename(Path(temporary) / "broken")
        try:
            return draw_shapes(folder)
        except UsageError:
            if _is_complete(folder):  # another process was faster
                return folder
            raise


def _is_complete(folder: Path) -> bool:
    paths = (
        folder / split / shape / f"{index:04}.png"
        for split, count in zip(_SPLITS, _COUNTS, strict=True)
        for shape, number in zip(SHAPES, _per_class(count), strict=True)
        for index in range(number)
    )
    return all(path.is_file() for path in paths)


def _per_class(count: int) -> list[int]:
    return [(count + len(SHAPES) - 1 - number) // len(SHAPES) for number in range(len(SHAPES))]


def _draw_all(folder: Path, counts: tuple[int, int, int], seed: int, size_px: int) -> None:
    for split, count in zip(_SPLITS, counts, strict=True):
        for shape, number in zip(SHAPES, _per_class(count), strict=True):
            for index in range(number):
                path = folder / split / shape / f"{index:04}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                drawing = draw(shape, seed=seed, split=split, index=index, size_px=size_px)
                Image.fromarray(drawing.pixels).save(path)


def _background(random: np.random.Generator, size_px: int) -> Grid:
    """[H, W, 3] levels, none darker than a luma of 160."""
    base = int(random.integers(195, 231))
    near = (base - 20, base + 20)
    first, second, third = (_colour(random, saturation=(0.05, 0.5), luma=near) for _ in range(3))
    kind = random.choice(["plain", "gradient", "noise"])
    picture: Grid = np.broadcast_to(first, (size_px, size_px, 3)).astype(np.int64)
    if kind == "gradient":
        picture = _gradient(random, first, second, size_px)
    elif kind == "noise":
        grain = random.integers(-6, 7, (2, size_px, size_px, 1)).sum(axis=0)
        picture = np.clip(picture + grain, 0, 255)
    for _ in range(int(random.integers(0, 4))):
        picture = _blend(picture, _stroke(random, size_px), third)
    return picture


def _gradient(random: np.random.Generator, first: Grid, second: Grid, size_px: int) -> Grid:
    across, down = (int(weight) for weight in random.integers(-8, 9, 2))
    rows, columns = np.mgrid[:size_px, :size_px]
    height = across * columns + (down or 1) * rows
    height -= height.min()
    share = height[..., None]
    blended: Grid = first + (second - first) * share // int(height.max())
    return blended


def _colour(random: np.random.Generator, *, saturation: tuple[float, float], luma: tuple[int, int]) -> Grid:
    """[3] levels of a colour within the bounds."""
    least, most = saturation
    while True:
        hue, depth, value = (float(number) for number in random.random(3))
        rgb = colorsys.hsv_to_rgb(hue, least + (most - least) * depth, value)
        colour: Grid = np.array([round(255 * level) for level in rgb])
        if luma[0] <= int(colour @ _LUMA) // 1000 <= luma[1]:
            return colour


def _shape(random: np.random.Generator, shape: str, size_px: int) -> Grid:
    """[H, W] coverage of one whole shape, at least two pixels inside the frame."""
    radius = (0.28 + 0.14 * float(random.random())) * size_px
    if shape == "circle":
        radius *= 0.85  # about as much area as the others have
    room = size_px - 2 * radius - 4
    x, y = (radius + 2 + room * float(share) for share in random.random(2))
    if shape == "circle":
        columns, rows = _subsamples(size_px)
        inside = (columns - _whole(x)) ** 2 + (rows - _whole(y)) ** 2 <= _whole(radius) ** 2
        return _coverage(inside)
    upright, corners = (math.pi / 4, 4) if shape == "square" else (-math.pi / 2, 3)
    turn = upright + math.radians(50) * (float(random.random()) - 0.5)
    angles = [turn + math.tau * corner / corners for corner in range(corners)]
    if shape == "triangle":
        angles = [angle + 0.4 * (float(random.random()) - 0.5) for angle in angles]
    return _polygon([(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles], size_px)


def _stroke(random: np.random.Generator, size_px: int) -> Grid:
    """[H, W] coverage of a thin short line: too short to outline a shape, too thin to be one."""
    x, y = (size_px * float(share) for share in random.random(2))
    turn = math.tau * float(random.random())
    along = size_px * (0.08 + 0.1 * float(random.random()))
    aside = size_px * (0.006 + 0.006 * float(random.random()))
    corners = [(along, aside), (-along, aside), (-along, -aside), (along, -aside)]
    cos, sin = math.cos(turn), math.sin(turn)
    return _polygon([(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in corners], size_px)


def _polygon(corners: list[tuple[float, float]], size_px: int) -> Grid:
    """[H, W] coverage of a convex polygon whose corners, in pixels, go round clockwise on the screen."""
    columns, rows = _subsamples(size_px)
    inside = np.ones((rows.size, columns.size), dtype=bool)
    whole = [(_whole(x), _whole(y)) for x, y in corners]
    for (x0, y0), (x1, y1) in zip(whole, whole[1:] + whole[:1], strict=True):
        inside &= (x1 - x0) * (rows - y0) - (y1 - y0) * (columns - x0) >= 0
    return _coverage(inside)


def _whole(pixels: float) -> int:
    return round(_UNITS * pixels)


def _subsamples(size_px: int) -> tuple[Grid, Grid]:
    centres = 2 * np.arange(size_px * _SUBSAMPLES, dtype=np.int64) + 1
    return centres[None, :], centres[:, None]


def _coverage(inside: NDArray[np.bool_]) -> Grid:
    size_px = len(inside) // _SUBSAMPLES
    counted: Grid = inside.reshape(size_px, _SUBSAMPLES, size_px, _SUBSAMPLES).sum(axis=(1, 3))
    return counted


def _blend(picture: Grid, coverage: Grid, colour: Grid) -> Grid:
    whole = _SUBSAMPLES**2
    share = coverage[..., None]
    blended: Grid = (picture * (whole - share) + colour * share + whole // 2) // whole
    return blended
