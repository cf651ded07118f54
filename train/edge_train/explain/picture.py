"""An explanation as a picture: what the model saw, the same under a map of heat, and what it answered."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_data import Sheet, check_png_target, has_mark
from edge_runtime import HEAT, LIGHT, UsageError

_PANEL_PX = 384
_GAP_PX = 12
_LINE_PX = 26
_STRENGTH = 0.65
_COLOURS = np.array([tuple(bytes.fromhex(colour[1:])) for colour in HEAT], np.float32)

_MARK = ("Software", "edge predict --explain")


def check_explanation_target(target: Path) -> None:
    """Raises, before any work, where a picture should not or could not be written.

    UsageError: it is no .png, or a file that was not made here. OutputError: its folder is not there.
    """
    check_png_target(target)
    if os.path.lexists(target) and not has_mark(target, _MARK):
        raise UsageError(f"{target} is there already, and no explanation of ours", "name another file with `out`")


def draw_explanation(pixels: NDArray[np.uint8], heat: NDArray[np.float32], title: str, notes: str = "") -> Sheet:
    """What the model saw, uint8 `[H, W, 3]`, and beside it the same under `heat`, float32 `[h, w]` in 0..1."""
    seen = Image.fromarray(pixels)
    scale = _PANEL_PX / max(seen.size)
    size = (max(1, round(seen.width * scale)), max(1, round(seen.height * scale)))
    large = seen.resize(size, Image.Resampling.BICUBIC)
    # Bilinear from the map's few cells to the picture, as the paper draws it.
    spread = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    over = Image.fromarray(_heated(np.asarray(large), spread.clip(0, 1)))
    below = size[1] + _GAP_PX + 6
    sheet = Sheet(2 * size[0] + 3 * _GAP_PX, size[1] + 2 * _GAP_PX + 2 * _LINE_PX)
    for x, picture in ((_GAP_PX, large), (size[0] + 2 * _GAP_PX, over)):
        sheet.picture(x, _GAP_PX, picture, size, Image.Resampling.NEAREST)
    room = 2 * size[0] + _GAP_PX
    sheet.text(_GAP_PX, below, sheet.fitted(title, 18, room), size=18)
    sheet.text(_GAP_PX, below + _LINE_PX, sheet.fitted(notes, 13, room), size=13, colour=LIGHT.quiet)
    return sheet


def write_explanation(target: Path, sheet: Sheet) -> None:
    """Save it as PNG, whole or not at all, marked as ours. Raises OutputError."""
    sheet.save(target, mark=_MARK)


def heat_colours(heat: NDArray[np.float32]) -> NDArray[np.float64]:
    """The colour of each value in 0..1, `[..., 3]` in 0..255: from dark and cold to light and hot."""
    steps = np.linspace(0, 1, len(_COLOURS))
    return np.stack([np.interp(heat, steps, _COLOURS[:, channel]) for channel in range(3)], axis=-1)


def _heated(picture: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    colour = heat_colours(heat)
    # Grey below, so that no colour of the picture is taken for heat; what is cold stays readable.
    grey = picture.mean(axis=-1, keepdims=True)
    share = _STRENGTH * np.sqrt(heat)[..., None]
    blended: NDArray[np.uint8] = np.rint(grey * (1 - share) + colour * share).clip(0, 255).astype(np.uint8)
    return blended
