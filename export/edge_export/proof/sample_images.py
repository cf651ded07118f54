"""The pictures an export is proven on: real ones of the validation split, and hostile ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_runtime import ImageError, Preprocessing

T = TypeVar("T")

HOSTILE = ("all black", "all white", "noise", "1×1", "8000×10")


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture before preprocessing: a file's path, or a PIL image made for the purpose."""

    name: str
    source: Path | Image.Image
    hostile: bool = False


def hostile_pictures(preprocessing: Preprocessing) -> list[Picture]:
    """What no photographer takes, and every device meets: pictures of one colour, noise, a dot, a strip."""
    size = (preprocessing.width_px, preprocessing.height_px)
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    stripes = np.random.default_rng(1).integers(0, 256, (10, 8000, 3), np.uint8)
    images = (
        Image.new("RGB", size, "black"),
        Image.new("RGB", size, "white"),
        Image.fromarray(noise),
        Image.new("RGB", (1, 1), (200, 30, 90)),
        Image.fromarray(stripes),
    )
    return [Picture(name, image, hostile=True) for name, image in zip(HOSTILE, images, strict=True)]


def spread(samples: Sequence[T], count: int) -> tuple[T, ...]:
    """At most `count` of the samples, evenly over the split and so over its classes."""
    if len(samples) <= count:
        return tuple(samples)
    return tuple(samples[index * len(samples) // count] for index in range(count))


def read_pictures(preprocessing: Preprocessing, pictures: Iterable[Picture]) -> tuple[list[Picture], NDArray[np.uint8]]:
    """The pictures that can be read, and the model's input for them, uint8 `[N, H, W, 3]`."""
    kept, pixels = [], []
    for picture in pictures:
        try:
            pixels.append(preprocessing(picture.source))
        except ImageError:
            continue
        kept.append(picture)
    size = (0, preprocessing.height_px, preprocessing.width_px, 3)
    return kept, np.stack(pixels) if pixels else np.zeros(size, np.uint8)
