"""Augmentation that leaves pixels in place: colour, blur, grain, JPEG artefacts, erasing. RGB pictures in and out."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_TO_YIQ = np.array([_LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)
_USUAL_PX = 224
_GREY_SPREAD = 8.0


def recolour(
    image: Image.Image,
    draw: np.random.Generator,
    *,
    brightness: tuple[float, float] = (1.0, 1.0),
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
) -> Image.Image:
    """Brightness times a factor within its bounds, contrast and saturation times one within 1 ± theirs; hue turned.

    Contrast is about the mean. `hue` is the most of a full turn, either way, about the grey axis of YIQ: unlike a turn
    in HSV it keeps the luma. All of it is one affine map of the colours, so nothing is clipped or rounded in between.
    """
    bright = draw.uniform(*brightness)
    contrasty, saturated = 1 + draw.uniform(-1, 1, size=2) * (contrast, saturation)
    turn = 2 * math.pi * draw.uniform(-hue, hue)
    colours = saturated * np.eye(3) + (1 - saturated) * np.ones((3, 1)) * _LUMA
    if turn:
        cos, sin = math.cos(turn), math.sin(turn)
        colours = _FROM_YIQ @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ _TO_YIQ @ colours
    mean = float(_mean_colour(image) @ _LUMA)
    matrix = np.column_stack([bright * contrasty * colours, np.full(3, (1 - contrasty) * bright * mean)])
    return image.convert("RGB", matrix=tuple(matrix.reshape(12).tolist()))


def blur(image: Image.Image, draw: np.random.Generator, *, most_px: float) -> Image.Image:
    """A Gaussian blur of a radius up to `most_px` at 224 pixels a side, in proportion at others."""
    return image.filter(ImageFilter.GaussianBlur(draw.uniform(0, most_px) * min(image.size) / _USUAL_PX))


def jpeg(image: Image.Image, draw: np.random.Generator, *, quality: tuple[int, int]) -> Image.Image:
    """What a JPEG of a quality within the bounds leaves of the picture."""
    with io.BytesIO() as buffer:
        image.save(buffer, "JPEG", quality=int(draw.integers(*quality, endpoint=True)))
        with Image.open(buffer, formats=["JPEG"]) as read:
            return read.convert("RGB")


def grain(image: Image.Image, draw: np.random.Generator, *, most: float) -> Image.Image:
    """Normal noise, the same in all channels, of a standard deviation up to `most` of 255."""
    noise = draw.standard_normal((image.height, image.width, 1), dtype=np.float32) * np.float32(draw.uniform(0, most))
    return Image.fromarray((np.asarray(image) + np.rint(noise)).clip(0, 255).astype(np.uint8))


def erase(image: Image.Image, draw: np.random.Generator, *, area: tuple[float, float]) -> Image.Image:
    """A rectangle of that share of the area, of aspect 0.3 to 3.3, in the picture's mean colour (Zhong et al. 2017)."""
    share, aspect = draw.uniform(*area), math.exp(draw.uniform(math.log(0.3), math.log(3.3)))
    width = min(image.width, max(1, round(image.width * math.sqrt(share * aspect))))
    height = min(image.height, max(1, round(image.height * math.sqrt(share / aspect))))
    left, top = (int(draw.integers(room, endpoint=True)) for room in (image.width - width, image.height - height))
    erased = image.copy()
    mean = tuple(_mean_colour(image).astype(int).tolist())
    erased.paste(mean, (left, top, left + width, top + height))
    return erased


def is_grey(image: Image.Image) -> bool:
    """Whether a picture has next to no colour: its channels differ by less than 8 of 255 on average."""
    small = np.asarray(image.resize((8, 8), Image.Resampling.BOX))
    return float((small.max(axis=-1) - small.min(axis=-1)).mean()) < _GREY_SPREAD


def _mean_colour(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.resize((1, 1), Image.Resampling.BOX)).reshape(3)
