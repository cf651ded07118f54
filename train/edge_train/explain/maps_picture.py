"""A layer's activations as a picture: what the model saw, the layer's maps beside it, its filters below."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_data import Sheet
from edge_runtime import LIGHT
from edge_train.explain.activations import LayerActivations
from edge_train.explain.picture import heat_colours

MOST_MAPS = 64
_COLUMNS = 8
_GAP_PX = 12
_SEEN_PX = 254
_CELL_PX, _LABEL_PX = 84, 15
_FILTER_PX, _FILTER_GAP_PX = 28, 4
_LINE_PX = 20


def draw_maps(pixels: NDArray[np.uint8], found: LayerActivations, title: str, notes: str = "") -> Sheet:
    """What the model saw, uint8 `[H, W, 3]`, beside it at most `MOST_MAPS` maps, the strongest first, and the filters.

    Each map goes from its own least value, dark, to its greatest, light, with its number in the layer, from 0. A filter
    is mid-grey where it is zero. Filters stand in their maps' order where the layer is their convolution, else in
    their own.
    """
    order = found.by_strength[:MOST_MAPS]
    seen = Image.fromarray(pixels)
    scale = _SEEN_PX / max(seen.size)
    size = (max(1, round(seen.width * scale)), max(1, round(seen.height * scale)))
    filters = _shown_filters(found, order)
    below = _GAP_PX + size[1] + _GAP_PX
    left_px = below + 3 * _LINE_PX + ceil(len(filters) / _COLUMNS) * (_FILTER_PX + _FILTER_GAP_PX)
    rows, columns = ceil(len(order) / _COLUMNS), min(_COLUMNS, max(4, len(order)))
    grid = (columns * (_CELL_PX + 6), rows * (_CELL_PX + _LABEL_PX + 4))
    width = 3 * _GAP_PX + _SEEN_PX + grid[0]
    foot = max(left_px, _GAP_PX + grid[1]) + 6
    sheet = Sheet(width, foot + 3 * _LINE_PX)
    sheet.picture(_GAP_PX, _GAP_PX, seen, size, Image.Resampling.BICUBIC)
    _draw_filters(sheet, found, filters, below)
    for place, index in enumerate(order):
        x = 2 * _GAP_PX + _SEEN_PX + place % _COLUMNS * (_CELL_PX + 6)
        y = _GAP_PX + place // _COLUMNS * (_CELL_PX + _LABEL_PX + 4)
        high, wide = found.maps.shape[1:]
        fit = _CELL_PX / max(high, wide)
        sheet.picture(x, y, _map(found.maps[index]), (wide * fit, high * fit), Image.Resampling.NEAREST)
        sheet.text(x + _CELL_PX / 2, y + _CELL_PX + 1, str(index), size=11, colour=LIGHT.quiet, at=0.5)
    room = width - 2 * _GAP_PX
    sheet.text(_GAP_PX, foot, sheet.fitted(title, 16, room), size=16)
    for line, text in enumerate((_map_words(found, len(order)), notes), start=1):
        sheet.text(_GAP_PX, foot + line * _LINE_PX + 2, sheet.fitted(text, 12, room), size=12, colour=LIGHT.quiet)
    return sheet


def _map(values: NDArray[np.float32]) -> Image.Image:
    low, high = float(values.min()), float(values.max())
    share = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return Image.fromarray(np.rint(heat_colours(share)).clip(0, 255).astype(np.uint8))


def _map_words(found: LayerActivations, shown: int) -> str:
    count, high, wide = found.maps.shape
    silent = sum(float(each.min()) == float(each.max()) for each in found.maps)
    said = f"{shown} of {count} maps of {high}×{wide}, the strongest first by mean absolute value, each with its number"
    return f"{said}; dark: its least value, light: its greatest" + (f"; {silent} are the same all over" * (silent > 0))


def _shown_filters(found: LayerActivations, order: Sequence[int]) -> list[NDArray[np.float32]]:
    if found.filters is None:
        return []
    # Only then does filter k make map k.
    own = found.filters_of == found.layer
    return [found.filters[index] for index in (order if own else range(min(MOST_MAPS, len(found.filters))))]


def _draw_filters(sheet: Sheet, found: LayerActivations, filters: list[NDArray[np.float32]], y: float) -> None:
    if found.filters is None or found.filters_of is None:
        lines = ["no filters to draw: there is no", "convolution in it wider than 1×1"]
    else:
        count, high, wide = found.filters.shape[:3]
        own = found.filters_of == found.layer
        seen = "on red, green, blue" if found.filters.ndim == 4 else "each on the input it weighs most"
        lines = [f"{found.filters_of}: {len(filters)} of {count} filters", f"{high}×{wide}, {seen}"]
        lines.append("in the order of their maps" if own else "in their own order")
    for number, line in enumerate(lines):
        sheet.text(_GAP_PX, y + 17 * number, sheet.fitted(line, 12, _SEEN_PX), size=12, colour=LIGHT.quiet)
    for place, values in enumerate(filters):
        # Zero is mid-grey in every filter, so that what it adds and what it takes away are told apart.
        most = float(np.abs(values).max()) or 1.0
        levels = np.rint(127.5 + 127.5 * values / most).clip(0, 255).astype(np.uint8)
        x = _GAP_PX + place % _COLUMNS * (_FILTER_PX + _FILTER_GAP_PX)
        at = y + 3 * _LINE_PX + place // _COLUMNS * (_FILTER_PX + _FILTER_GAP_PX)
        fit = _FILTER_PX / max(levels.shape[:2])
        size = (levels.shape[1] * fit, levels.shape[0] * fit)
        sheet.picture(x, at, Image.fromarray(levels), size, Image.Resampling.NEAREST)
