"""A loaded picture of any of Pillow's modes -> RGB of 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageChops

from edge_runtime.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from edge_runtime.images.colour import Converter

_WIDE_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
_ALPHA_MODES = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})
# LAB is left out though some builds of Pillow convert it: it needs LittleCMS, which others lack, and a model must see
# the same pixels on every machine.
_PLAIN_MODES = frozenset({"RGB", "RGBX", "L", "1", "P", "CMYK", "YCbCr", "HSV"})
# Larger pictures are converted in bands of so many, which costs their copies once per band and not for the whole.
_BAND_PIXELS = 250_000


def rgb_of(
    image: Image.Image, name: str, background: tuple[int, int, int], convert: Converter | None = None
) -> Image.Image:
    """A loaded image -> RGB; the image itself where it is that already.

    Wider samples are scaled, transparency is composited on `background`, and before that `convert` makes sRGB of the
    colours, in place where the image is RGB. Raises ImageError for a colour space that Pillow cannot convert.
    """
    if image.mode in _WIDE_MODES:
        return _by_bands(image, _wide_converter(image, background, convert))
    if image.mode not in _PLAIN_MODES | _ALPHA_MODES:
        raise ImageError(f"{name} is in the colour space {image.mode}", "save it as RGB first", "colour-space")
    if image.has_transparency_data:
        return _by_bands(image, lambda band: _composited(band, background, convert))
    if convert is None:
        return image if image.mode == "RGB" else image.convert("RGB")
    if image.mode in ("RGB", "CMYK"):
        return convert(image)
    return _by_bands(image, lambda band: convert(band.convert("RGB")))


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The image in parts as wide as itself and the row each begins at; a small one whole."""
    rows = max(1, _BAND_PIXELS // max(1, image.width))
    if rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _by_bands(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    rgb: Image.Image | None = None
    for top, band in _bands(image):
        if band is image:
            return convert(band)
        rgb = rgb or Image.new("RGB", image.size)
        rgb.paste(convert(band), (0, top))
    return rgb or image


def _composited(image: Image.Image, background: tuple[int, int, int], convert: Converter | None) -> Image.Image:
    # Pillow writes the alpha values into the palette of the image it converts, and knows no direct way from La.
    ready = image.copy() if image.mode == "P" else image.convert("LA") if image.mode == "La" else image
    rgba = ready.convert("RGBA")
    alpha = rgba.getchannel("A")
    rgb = rgba.convert("RGB")
    rgb = convert(rgb) if convert else rgb
    if alpha.getextrema() != (255, 255):
        rgb.paste(background, mask=ImageChops.invert(alpha))
    return rgb


def _wide_converter(
    image: Image.Image, background: tuple[int, int, int], convert: Converter | None
) -> Callable[[Image.Image], Image.Image]:
    """What makes RGB of a part of a grey image of 16-bit, 32-bit or float samples.

    A PNG's transparent grey becomes the background.
    """
    tags = getattr(image, "tag_v2", {})
    from_16_bit = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    low, high = (0.0, float(2 ** int(tags.get(258, (16,))[0]) - 1)) if from_16_bit else _scale_of(image)
    # Pillow honours TIFF's "0 is white" up to 8 bit only.
    inverted = tags.get(262) == 0
    key = image.info.get("transparency")

    def narrow(band: Image.Image) -> Image.Image:
        samples = np.asarray(band)
        grey = _eight_bit(samples, low, high)
        rgb = Image.fromarray(255 - grey if inverted else grey).convert("RGB")
        rgb = convert(rgb) if convert else rgb
        if isinstance(key, int):
            rgb.paste(background, mask=Image.fromarray((samples == key).astype(np.uint8) * np.uint8(255)))
        return rgb

    return narrow


def _scale_of(image: Image.Image) -> tuple[float, float]:
    """The samples that become 0 and 255 in an image whose file does not state them, by the range of its samples.

    Non-finite ones count as 0. Floats within 0..1: 0 and 1; within 0..255: those; within 0..65535: those; anything
    else: the smallest and the largest. Where a file says that it has 16 bits, 65535 becomes 255: v / 257.
    """
    low, high, kind = np.inf, -np.inf, "i"
    for _, band in _bands(image):
        samples = np.asarray(band)
        finite, kind = _finite(samples), samples.dtype.kind
        low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low >= 0:
        steps = [step for step in (*([1.0] if kind == "f" else []), 255.0, 65535.0) if high <= step]
        return (0.0, steps[0]) if steps else (low, high)
    return low, high


def _eight_bit(samples: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """[H, W] integers or floats -> [H, W] uint8: linearly from `low` (0) to `high` (255), rounded."""
    scaled = (_finite(samples) - low) * (255 / (high - low) if high > low else 0.0)
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def _finite(samples: NDArray[Any]) -> NDArray[np.float64]:
    # Damaged float files hold signalling NaNs, of which the cast would warn.
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
