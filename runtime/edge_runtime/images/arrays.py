"""Pictures that are arrays already: a camera's frames, what OpenCV read."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_runtime.errors import ImageError, UsageError

Colour: TypeAlias = Literal["rgb", "bgr"]
"""The order of an array's channels; OpenCV's, and picamera2's "RGB888", are "bgr"."""


def array_image(array: NDArray[Any], name: str) -> Image.Image:
    """uint8 `[H, W, 3]` RGB or `[H, W]` grey -> a PIL image, which may share the array's memory.

    Raises ImageError, with `name` in its message, where it has another type or shape, or no pixels.
    """
    said = f"{name} is {array.dtype} {list(array.shape)}, not uint8 [H, W, 3] or [H, W]"
    if array.dtype != np.uint8:
        floats = "scale it: (255 * array).round().astype(np.uint8)" if array.dtype.kind == "f" else "scale it to 0..255"
        raise ImageError(said, floats, "not-an-image")
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)):
        hints = {(1,): "give array[..., 0]", (4,): "leave its last channel out: array[..., :3]"}
        batch = "give its pictures one by one, predict_many takes them" if array.ndim == 4 else "give one picture"
        raise ImageError(said, hints.get(array.shape[2:], batch), "not-an-image")
    if not array.size:
        raise ImageError(said, "it has no pixels", "not-an-image")
    return Image.fromarray(np.ascontiguousarray(array))


def in_rgb(image: Any, colour: Colour) -> Any:
    """An array's channels as RGB, sharing its memory; what is no array has its own colours and is given back.

    Raises UsageError where `colour` is neither "rgb" nor "bgr".
    """
    if colour not in ("rgb", "bgr"):
        raise UsageError(f"colour {colour!r} is not known", "give 'rgb' or 'bgr'")
    return image[..., ::-1] if colour == "bgr" and isinstance(image, np.ndarray) and image.ndim > 2 else image
