"""The header of a picture file: its size and how it is stored, without decoding it."""

from __future__ import annotations

from importlib import import_module
from typing import IO

from PIL import Image

from edge_runtime import HEAD_BYTES, image_kind


def open_header(file: IO[bytes]) -> Image.Image:
    """The picture in `file`, read from its start and not decoded; HEIC too, where pillow-heif is installed.

    Raises whatever Pillow or a plugin of it does on what they cannot open.
    """
    kind = image_kind(file.read(HEAD_BYTES)) or ""
    file.seek(0)
    if kind != "HEIC":
        # The one plugin that edge decodes it by is asked, no other.
        return Image.open(file, formats=[kind])
    # HEIC's is not registered with Pillow for the whole process.
    header: Image.Image = import_module("pillow_heif").HeifImageFile(file)
    return header
