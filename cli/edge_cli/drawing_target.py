"""Where the drawing of a picture is written when no place is named."""

from __future__ import annotations

from pathlib import Path

from edge_runtime import DRAWING_SUFFIX, UsageError


def beside_picture(image: Path, middle: str = "") -> Path:
    """The file beside `image` for a drawing of it, `middle` in its name. Raises UsageError where that is no file."""
    if not image.name or image.is_dir():
        raise UsageError(f"{image} is a folder, and one picture is drawn", "name a picture")
    return image.with_name(f"{image.stem}{middle}{DRAWING_SUFFIX}")
