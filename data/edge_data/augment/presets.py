"""Augmentation: what the training split looks like to the network, never the validation split.

Every draw comes from a generator made from (seed, epoch, image), so a picture looks the same whichever
thread prepares it and in whichever order, and a resumed run goes on exactly as one left alone.
`docs/augmentation.md` tabulates the presets; `edge data preview` draws them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from edge_data.augment.geometry import crop, elastic, mirror, upend, warp
from edge_data.augment.tone import blur, erase, grain, is_grey, jpeg, recolour
from edge_runtime import Preprocessing, UsageError

Augmentation: TypeAlias = Callable[[Image.Image, Preprocessing, np.random.Generator], NDArray[np.uint8]]
Change: TypeAlias = Callable[[Image.Image, np.random.Generator], Image.Image]


def find_augmentation(name: str) -> Augmentation:
    """The preset of that name: RGB image, contract, generator -> uint8 `[height, width, 3]`.

    The image is the store's: short side `resize_px` long, so that crops have what to choose from. It is not changed.

    Raises:
        UsageError: there is no such preset.
    """
    if name not in AUGMENTATIONS:
        raise UsageError(f"`augment` {name} is not known", f"choose {', '.join(AUGMENTATIONS)}")
    return AUGMENTATIONS[name]


def _none(image: Image.Image, contract: Preprocessing, draw: np.random.Generator) -> NDArray[np.uint8]:
    """As in evaluation: short side resized, centre crop."""
    del draw
    return contract(image)


def _light(image: Image.Image, contract: Preprocessing, draw: np.random.Generator) -> NDArray[np.uint8]:
    """Crop, mirror: the recipe of ImageNet for photos and of CIFAR for small pictures."""
    return np.asarray(mirror(crop(image, contract, draw, least_area=0.6, pad=1 / 8), draw))


def _standard(image: Image.Image, contract: Preprocessing, draw: np.random.Generator) -> NDArray[np.uint8]:
    """The course's list with its numbers, after a crop."""
    image = mirror(crop(image, contract, draw, least_area=0.6), draw)
    image = warp(image, draw, degrees=15, shift=0.1, scale=(0.9, 1.1), distortion=0.2, distorted=0.5)
    return np.asarray(recolour(image, draw, brightness=(0.8, 1.2), contrast=0.2, saturation=0.2, hue=0.1))


def _document(image: Image.Image, contract: Preprocessing, draw: np.random.Generator) -> NDArray[np.uint8]:
    """What happens to a page between desk and file: held at an angle, badly lit, out of focus, compressed."""
    image = crop(image, contract, draw, least_area=0.85, stretch=1.1)
    image = warp(image, draw, degrees=3, shift=0.03, scale=(0.95, 1.05), distortion=0.1, distorted=0.5)
    # Little more light: white paper has none to spare, and pale print would drown in it.
    image = recolour(image, draw, brightness=(0.7, 1.05), contrast=0.25)
    if draw.random() < 0.3:
        image = blur(image, draw, most_px=1.2)
    if draw.random() < 0.3:
        image = grain(image, draw, most=8)
    if draw.random() < 0.3:
        image = jpeg(image, draw, quality=(40, 90))
    return np.asarray(image)


def _medical(image: Image.Image, contract: Preprocessing, draw: np.random.Generator) -> NDArray[np.uint8]:
    """Another view of the same tissue; its colours, which the stain or the device gives, stay."""
    grey = is_grey(image)
    image = crop(image, contract, draw, least_area=0.8, stretch=1.1)
    # A mirrored X-ray has its heart on the wrong side; slides, skin and other colour pictures have no right way up.
    if not grey:
        image = upend(mirror(image, draw), draw)
    image = warp(image, draw, degrees=10, shift=0.05, scale=(0.95, 1.05))
    if draw.random() < 0.5:
        image = elastic(image, draw, reach=0.02)
    return np.asarray(recolour(image, draw, brightness=(0.9, 1.05), contrast=0.1))


def _camera_trap(image: Image.Image, contract: Preprocessing, draw: np.random.Generator) -> NDArray[np.uint8]:
    """What a camera that hangs outside sees of an animal: by day in any weather, by night in grey, by its own lamp."""
    image = mirror(crop(image, contract, draw, least_area=0.6, pad=1 / 8), draw)
    if draw.random() < 0.4:
        dark = recolour(image.convert("L").convert("RGB"), draw, brightness=(0.25, 1.0), contrast=0.3)
        return np.asarray(grain(dark, draw, most=10))
    image = recolour(image, draw, brightness=(0.6, 1.3), contrast=0.3, saturation=0.3)
    return np.asarray(blur(image, draw, most_px=1.5) if draw.random() < 0.2 else image)


def _strong(image: Image.Image, contract: Preprocessing, draw: np.random.Generator) -> NDArray[np.uint8]:
    """Crop, mirror, two changes of thirteen, erasing.

    As RandAugment's, two changes apply (Cubuk et al. 2020); as TrivialAugment's, each at a strength drawn uniformly,
    so there is nothing to tune (Müller & Hutter 2021). The strongest is milder than theirs, and nothing solarises or
    goes black: their runs see a picture hundreds of times, a fine-tuning here sees it ten.
    """
    image = mirror(crop(image, contract, draw, least_area=0.35, pad=1 / 8), draw)
    for change in draw.choice(len(_CHANGES), size=2, replace=False):
        image = _CHANGES[change](image, draw)
    if draw.random() < 0.25:
        image = erase(image, draw, area=(0.02, 0.2))
    return np.asarray(image)


_CHANGES: tuple[Change, ...] = (
    lambda image, _: image,
    lambda image, draw: Image.blend(image, ImageOps.autocontrast(image), draw.random()),
    lambda image, draw: Image.blend(image, ImageOps.equalize(image), draw.random()),
    lambda image, draw: ImageOps.posterize(image, int(draw.integers(4, 8, endpoint=True))),
    lambda image, draw: ImageEnhance.Sharpness(image).enhance(draw.uniform(0.1, 1.9)),
    lambda image, draw: recolour(image, draw, brightness=(0.5, 1.5)),
    lambda image, draw: recolour(image, draw, contrast=0.5),
    lambda image, draw: recolour(image, draw, saturation=0.5),
    lambda image, draw: recolour(image, draw, hue=0.1),
    lambda image, draw: warp(image, draw, degrees=30),
    lambda image, draw: warp(image, draw, shift=1 / 7),
    lambda image, draw: warp(image, draw, shear=(0.3, 0.0)),
    lambda image, draw: warp(image, draw, shear=(0.0, 0.3)),
)

AUGMENTATIONS: dict[str, Augmentation] = {
    "none": _none,
    "light": _light,
    "standard": _standard,
    "document": _document,
    "medical": _medical,
    "camera-trap": _camera_trap,
    "strong": _strong,
}

AUGMENTATION_ADVICE: dict[str, str] = {
    "none": "the picture as predict sees it; to measure what augmentation brings",
    "light": "crop and mirror; photos, small pictures, few epochs. Not for text, digits or signs with a direction",
    "standard": "light, turned, seen from an angle, recoloured; a few hundred photos, several lights and cameras. "
    "Not where colour or side is what tells classes apart",
    "document": "no mirror; small turns, angle, light, blur, grain, JPEG; pages, text, digits, signs, labels",
    "medical": "small turns and bends, mild light, never hue; mirrored both ways, but for grey pictures such as X-rays",
    "camera-trap": "light, and two of five pictures as at night, grey, dark, grainy; the others in other light, never "
    "another hue; cameras that hang outside by day and night",
    "strong": "crop, mirror, two changes of thirteen, erasing; overfitting, and many epochs to pay for it",
}
