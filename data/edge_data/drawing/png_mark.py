"""A mark in a PNG that says which command made it: what has it may be made again in its place, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from PIL import PngImagePlugin

PngMark: TypeAlias = tuple[str, str]
"""A key and a text."""


def marked(mark: PngMark) -> PngImagePlugin.PngInfo:
    """What Pillow writes into a PNG that is to have the mark."""
    info = PngImagePlugin.PngInfo()
    info.add_text(*mark)
    return info


def has_mark(path: Path, mark: PngMark) -> bool:
    """Whether `path` is a PNG with that mark; it is read as far as its header."""
    try:
        # A pipe would be waited for.
        if not path.is_file():
            return False
        with PngImagePlugin.PngImageFile(path) as image:
            return bool(image.info.get(mark[0]) == mark[1])
    except Exception:  # whatever a damaged PNG raises, it is not ours
        return False
