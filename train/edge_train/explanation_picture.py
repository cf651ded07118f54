"""An explanation as a picture: what the model saw, the same under a map of heat, and what it answered."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from edge_runtime import OutputError, UsageError, atomic_path

__all__ = ["check_explanation_target", "draw_explanation", "write_explanation"]

_PANEL_PX = 384
_GAP_PX = 12
_LINE_PX = 26
_INK, _FAINT, _PAPER = (25, 25, 25), (110, 110, 110), (255, 255, 255)
_STRENGTH = 0.65
# From cold to hot, dark to light, so that it is read in grey and by the colour-blind as well.
_COLOURS = np.array([(20, 10, 80), (130, 30, 130), (220, 60, 70), (250, 160, 40), (255, 250, 160)], np.float32)

_MARK = ("Software", "edge predict --explain")
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def check_explanation_target(target: Path) -> None:
    """Raises, before any work, where a picture should not or could not be written.

    UsageError: it is no .png, or a file that was not made here. OutputError: its folder is not there.
    """
    if target.suffix.lower() != ".png":
        raise UsageError(f"{target}: an explanation is a PNG", "give a name that ends in .png with --out")
    if not target.parent.is_dir():
        raise OutputError(f"cannot write {target}: {target.parent} is not a folder", "make it first, or use --out")
    if os.path.lexists(target) and not _is_ours(target):
        raise UsageError(f"{target} is there already, and no explanation of ours", "name another file with --out")


def draw_explanation(pixels: NDArray[np.uint8], heat: NDArray[np.float32], title: str, notes: str = "") -> Image.Image:
    """What the model saw, uint8 `[H, W, 3]`, and beside it the same under `heat`, float32 `[h, w]` in 0..1."""
    seen = Image.fromarray(pixels)
    scale = _PANEL_PX / max(seen.size)
    size = (max(1, round(seen.width * scale)), max(1, round(seen.height * scale)))
    large = seen.resize(size, Image.Resampling.BICUBIC)
    # Bilinear from the map's few cells to the picture, as the paper draws it.
    spread = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    over = Image.fromarray(_heated(np.asarray(large), spread.clip(0, 1)))
    height = size[1] + 2 * _GAP_PX + 2 * _LINE_PX
    sheet = Image.new("RGB", (2 * size[0] + 3 * _GAP_PX, height), _PAPER)
    sheet.paste(large, (_GAP_PX, _GAP_PX))
    sheet.paste(over, (size[0] + 2 * _GAP_PX, _GAP_PX))
    pen = ImageDraw.Draw(sheet)
    _write_line(pen, title, (_GAP_PX, size[1] + _GAP_PX + 6), colour=_INK, size=18, width_px=sheet.width - 2 * _GAP_PX)
    below = (_GAP_PX, size[1] + _GAP_PX + 6 + _LINE_PX)
    _write_line(pen, notes, below, colour=_FAINT, size=13, width_px=sheet.width - 2 * _GAP_PX)
    return sheet


def write_explanation(target: Path, picture: Image.Image) -> None:
    """Save it as PNG, whole or not at all, marked as ours. Raises OutputError."""
    info = PngImagePlugin.PngInfo()
    info.add_text(*_MARK)
    with atomic_path(target) as temporary:
        picture.save(temporary, "PNG", pnginfo=info)


def _heated(picture: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    steps = np.linspace(0, 1, len(_COLOURS))
    colour = np.stack([np.interp(heat, steps, _COLOURS[:, channel]) for channel in range(3)], axis=-1)
    # Grey below, so that no colour of the picture is taken for heat; what is cold stays readable.
    grey = picture.mean(axis=-1, keepdims=True)
    share = _STRENGTH * np.sqrt(heat)[..., None]
    blended: NDArray[np.uint8] = np.rint(grey * (1 - share) + colour * share).clip(0, 255).astype(np.uint8)
    return blended


def _write_line(
    pen: ImageDraw.ImageDraw,
    text: str,
    corner: tuple[int, int],
    *,
    colour: tuple[int, int, int],
    size: int,
    width_px: int,
) -> None:
    font = ImageFont.load_default(size)
    # A build of Pillow without FreeType has one bitmap font, which knows Latin-1 alone.
    encoding = "utf-8" if isinstance(font, ImageFont.FreeTypeFont) else "latin-1"
    text = " ".join(text.encode(encoding, "replace").decode(encoding).splitlines())
    shown, keep = text, len(text)
    while keep > 2 and pen.textlength(shown, font=font) > width_px:
        keep -= 1
        shown = f"{text[: keep // 2]}...{text[-(keep - keep // 2) :]}"
    pen.text(corner, shown, fill=colour, font=font)


def _is_ours(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            # The mark is the first chunk after the header's, as Pillow writes it.
            return file.read(256).startswith(_PNG_HEAD) and _has_mark(path)
    except OSError:
        return False


def _has_mark(path: Path) -> bool:
    try:
        with PngImagePlugin.PngImageFile(path) as image:
            return bool(image.info.get(_MARK[0]) == _MARK[1])
    except Exception:  # whatever a damaged PNG raises, it is not ours
        return False
