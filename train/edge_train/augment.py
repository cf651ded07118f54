"""Augmentation: what the training split looks like to the network, never the validation split.

Every draw comes from a generator made from (seed, epoch, image), so a picture looks the same whichever
thread prepares it and in whichever order, and a resumed run goes on exactly as one left alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from edge_runtime import Preprocessing, UsageError

__all__ = ["AUGMENTATIONS", "Augmentation", "find_augmentation"]

Augmentation: TypeAlias = Callable[[Image.Image, Preprocessing, np.random.Generator], NDArray[np.uint8]]

FILL = (128, 128, 128)


def find_augmentation(name: str) -> Augmentation:
    """The preset of that name: RGB image, contract, generator -> uint8 `[height, width, 3]`.

    Raises:
        UsageError: there is no such preset.
    """
    if name not in AUGMENTATIONS:
        raise UsageError(f"--augment {name} is not known", f"choose {', '.join(AUGMENTATIONS)}")
    return AUGMENTATIONS[name]


def _none(image: Image.Image, contract: Preprocessing, draw: np.random.Generator) -> NDArray[np.uint8]:
    """As in evaluation: short side resized, centre crop."""
    del draw
    return contract(image)


def _light(image: Image.Image, contract: Preprocessing, draw: np.random.Generator) -> NDArray[np.uint8]:
    """A random crop of 60 to 100 % of the picture, mirrored half of the time."""
    return np.asarray(_flip(_random_crop(image, contract, draw, least_area=0.6), draw))


def _standard(image: Image.Image, contract: Preprocessing, draw: np.random.Generator) -> NDArray[np.uint8]:
    """The course's list: crop, flip, rotation, shift and scale, perspective, colour jitter."""
    image = _flip(_random_crop(image, contract, draw, least_area=0.6), draw)
    image = _warp(image, draw, degrees=15.0, shift=0.1, scale=(0.9, 1.1))
    if draw.random() < 0.3:
        image = _perspective(image, draw, distortion=0.2)
    return np.asarray(_jitter(image, draw, brightness=0.2, contrast=0.2, saturation=0.2))


AUGMENTATIONS: dict[str, Augmentation] = {"none": _none, "light": _light, "standard": _standard}


def _random_crop(
    image: Image.Image, contract: Preprocessing, draw: np.random.Generator, *, least_area: float
) -> Image.Image:
    """A crop of random area and of aspect 3/4 to 4/3, resized to the input (Szegedy et al. 2015, section 6)."""
    width, height = image.size
    ratio = contract.width_px / contract.height_px
    for _ in range(10):
        area = width * height * draw.uniform(least_area, 1.0)
        aspect = ratio * math.exp(draw.uniform(math.log(3 / 4), math.log(4 / 3)))
        crop_width, crop_height = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if crop_width <= width and crop_height <= height:
            break
    else:
        crop_width = min(width, height * ratio)
        crop_height = crop_width / ratio
    left = draw.uniform(0, width - crop_width)
    top = draw.uniform(0, height - crop_height)
    return image.resize(
        (contract.width_px, contract.height_px),
        _resampling(contract),
        box=(left, top, min(width, left + crop_width), min(height, top + crop_height)),
    )


def _flip(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if draw.random() < 0.5 else image


def _warp(
    image: Image.Image, draw: np.random.Generator, *, degrees: float, shift: float, scale: tuple[float, float]
) -> Image.Image:
    """Rotate, shift by a share of the side, and scale about the centre."""
    angle = math.radians(draw.uniform(-degrees, degrees))
    zoom = draw.uniform(*scale)
    width, height = image.size
    right, down = draw.uniform(-shift, shift, size=2) * (width, height)
    cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
    x, y = width / 2, height / 2
    # Pillow wants the map from output to input.
    matrix = (
        cos,
        sin,
        x - cos * (x + right) - sin * (y + down),
        -sin,
        cos,
        y + sin * (x + right) - cos * (y + down),
    )
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=FILL)


def _perspective(image: Image.Image, draw: np.random.Generator, *, distortion: float) -> Image.Image:
    """Move each corner inwards by up to `distortion` of half the side."""
    width, height = image.size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float64)
    inwards = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    moved = corners + inwards * draw.uniform(0, distortion / 2, size=(4, 2)) * (width, height)
    equations = np.zeros((8, 8))
    for row, ((x, y), (u, v)) in enumerate(zip(moved, corners, strict=True)):
        equations[2 * row] = (x, y, 1, 0, 0, 0, -u * x, -u * y)
        equations[2 * row + 1] = (0, 0, 0, x, y, 1, -v * x, -v * y)
    coefficients = np.linalg.solve(equations, corners.reshape(8))
    return image.transform(
        image.size,
        Image.Transform.PERSPECTIVE,
        tuple(coefficients.tolist()),
        Image.Resampling.BILINEAR,
        fillcolor=FILL,
    )


def _jitter(
    image: Image.Image, draw: np.random.Generator, *, brightness: float, contrast: float, saturation: float
) -> Image.Image:
    """Brightness, contrast and saturation, each times a factor within 1 ± its bound."""
    image = ImageEnhance.Brightness(image).enhance(draw.uniform(1 - brightness, 1 + brightness))
    image = ImageEnhance.Contrast(image).enhance(draw.uniform(1 - contrast, 1 + contrast))
    return ImageEnhance.Color(image).enhance(draw.uniform(1 - saturation, 1 + saturation))


def _resampling(contract: Preprocessing) -> Image.Resampling:
    return Image.Resampling[contract.interpolation.upper()]
