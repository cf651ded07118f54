"""The preprocessing contract of a model: what happens to an image between its file and the model's input.

It travels in the model file as JSON and is the only code between pixels and the model, in training's evaluation as
on the device. It equals torchvision's `Resize` + `CenterCrop` on PIL images bit for bit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from edge_runtime.errors import ModelError, UsageError
from edge_runtime.images import decoder as images
from edge_runtime.images.memory import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge_runtime.images.decoder import ImageSource

_MAX_SIDE_PX = 4096
_MAX_RESIZED_PIXELS = 32_000_000
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# Each setting's name in the model file, spelled for people who read it with another program.
_JSON_NAMES = {
    "resize_px": "resize_short_side",
    "height_px": "height",
    "width_px": "width",
    "interpolation": "interpolation",
    "background": "alpha_background",
    "jpeg_draft": "jpeg_draft",
    "to_srgb": "to_srgb",
}
_HINT = "the file is damaged or from a newer edge: export it again, or upgrade edge"
_OPTIONAL = frozenset({"background", "jpeg_draft", "to_srgb"})
# What every contract of this format says; to a file that says otherwise we would feed pixels it was not trained on.
_FIXED = {"orientation": "exif", "color": "RGB", "antialias": True, "crop": "center"}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Decode, resize the short side to `resize_px`, crop `height_px` × `width_px` from the centre.

    `background` is what transparency is composited on; `jpeg_draft` decodes large JPEGs at a reduced scale; `to_srgb`
    converts colours by the picture's embedded profile. A contract in JSON that does not have it is from before there
    was any: its pictures are not converted.
    Raises UsageError when a value makes no sense.
    """

    resize_px: int
    height_px: int
    width_px: int
    interpolation: Literal["bilinear", "bicubic"]
    background: tuple[int, int, int] = (255, 255, 255)
    jpeg_draft: bool = True
    to_srgb: bool = True

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if wanted := _fault(name, value):
                raise UsageError(f"{name} is {value!r}", f"give {wanted}")

    def __call__(
        self, source: ImageSource, *, max_pixels: int = MAX_PIXELS, name: str | None = None
    ) -> NDArray[np.uint8]:
        """Anything `decode` takes -> the model's input, [height, width, 3] uint8 RGB, C-contiguous and writable.

        Raises ImageError.
        """
        image = self.decode(source, max_pixels=max_pixels, name=name)
        return np.array(self.crop(self.resize(image)), dtype=np.uint8, order="C")

    def decode(self, source: ImageSource, *, max_pixels: int = MAX_PIXELS, name: str | None = None) -> Image.Image:
        """`images.decode` with this contract's background, JPEG scale and colours; raises ImageError."""
        return images.decode(
            source,
            background=self.background,
            reduce_to_px=self.resize_px if self.jpeg_draft else None,
            to_srgb=self.to_srgb,
            max_pixels=max_pixels,
            name=name,
        )

    def resize(self, image: Image.Image) -> Image.Image:
        """An RGB image -> its short side `resize_px` long, its long side in proportion, truncated as torchvision does.

        The image itself where it has that size already. Where the result would have more than 32 million pixels
        (20000 × 1 would give 1.3 billion), only its middle is made: as much of the long side as `crop` reads.
        """
        short, long = sorted(image.size)
        long_px = int(self.resize_px * long / short)
        wide = image.width > image.height
        size = (long_px, self.resize_px) if wide else (self.resize_px, long_px)
        if size == image.size:
            return image
        if long_px * self.resize_px <= _MAX_RESIZED_PIXELS:
            return image.resize(size, _FILTERS[self.interpolation])
        return self._resize_middle(image, long_px)

    def _resize_middle(self, image: Image.Image, long_px: int) -> Image.Image:
        resampling = _FILTERS[self.interpolation]
        wide = image.width > image.height
        crop_px = self.width_px if wide else self.height_px
        # An even number of pixels goes on either side, so that `crop` rounds its offset as it would have in the whole.
        kept_px = crop_px + (long_px - crop_px) % 4
        scale = max(image.size) / long_px
        start, stop = (long_px - kept_px) / 2 * scale, (long_px + kept_px) / 2 * scale
        # The widest filter, bicubic, reaches two pixels of the coarser grid beyond the box.
        margin = 3 * max(1.0, scale)
        first, last = max(0, int(start - margin)), min(max(image.size), int(stop + margin) + 1)
        start, stop = start - first, stop - first
        if wide:
            part = image.crop((first, 0, last, image.height))
            size, (left, top, right, bottom) = (kept_px, self.resize_px), (start, 0.0, stop, float(image.height))
        else:
            part = image.crop((0, first, image.width, last))
            size, (left, top, right, bottom) = (self.resize_px, kept_px), (0.0, start, float(image.width), stop)
        # Pillow resizes along x, rounds and clips, then along y, and the other way round to shrink a very tall image.
        # Of the part alone it would not know how tall the whole is, so the order is spelled out.
        if not wide and scale > 1:
            part = part.resize((part.width, size[1]), resampling, box=(0, top, part.width, bottom))
            return part.resize(size, resampling)
        part = part.resize((size[0], part.height), resampling, box=(left, 0, right, part.height))
        return part.resize(size, resampling, box=(0, top, size[0], bottom))

    def crop(self, image: Image.Image) -> Image.Image:
        """The centre of an image, `height_px` × `width_px`; black fills what lies outside the image.

        The image itself where it has that size already.
        """
        size = (self.width_px, self.height_px)
        if image.size == size:
            return image
        left, top = (_offset(side, wanted) for side, wanted in zip(image.size, size, strict=True))
        return image.crop((left, top, left + self.width_px, top + self.height_px))

    def to_json(self) -> dict[str, Any]:
        """The contract as it stands in a model file."""
        values = {_JSON_NAMES[name]: value for name, value in asdict(self).items()}
        return {**_FIXED, **values, "alpha_background": list(self.background)}

    @classmethod
    def from_json(cls, value: object) -> Preprocessing:
        """The contract in a model file; keys it does not know are ignored. Raises ModelError naming the field."""
        if not isinstance(value, dict):
            raise ModelError(f"the model's preprocessing is {_brief(value)}, not an object", _HINT)
        for key, fixed in _FIXED.items():
            if key in value and value[key] != fixed:
                raise ModelError(f"the model's preprocessing has {key} {_brief(value[key])}, not {fixed!r}", _HINT)
        return cls(**_settings(value))


def _offset(side_px: int, crop_px: int) -> int:
    # torchvision pads a side that is too short, the odd pixel last, and rounds the offset in a long one half to even.
    return -((crop_px - side_px) // 2) if crop_px > side_px else round((side_px - crop_px) / 2)


def _settings(value: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {"to_srgb": False}
    for name, key in _JSON_NAMES.items():
        if key not in value:
            if name in _OPTIONAL:
                continue
            raise ModelError(f"the model's preprocessing lacks {key}", _HINT)
        setting = tuple(value[key]) if isinstance(value[key], list) else value[key]
        if wanted := _fault(name, setting):
            raise ModelError(f"the model's preprocessing has {key} {_brief(value[key])}, not {wanted}", _HINT)
        settings[name] = setting
    return settings


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fault(name: str, value: object) -> str | None:
    """What a setting must be, or None when it is."""
    match name:
        case "interpolation":
            fine, wanted = isinstance(value, str) and value in _FILTERS, " or ".join(_FILTERS)
        case "background":
            fine = isinstance(value, tuple) and len(value) == 3 and all(_is_int(part, 0, 255) for part in value)
            wanted = "three whole numbers from 0 to 255"
        case "jpeg_draft" | "to_srgb":
            fine, wanted = isinstance(value, bool), "true or false"
        case _:
            fine, wanted = _is_int(value, 1, _MAX_SIDE_PX), f"a whole number from 1 to {_MAX_SIDE_PX}"
    return None if fine else wanted


def _is_int(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
