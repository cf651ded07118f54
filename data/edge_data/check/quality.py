"""How good a photo is, as a few figures of what a model would see of it: blur, light, and where its edges lie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

MEASURED_PX = 128

_LEAST_PX, _FINE_PX = 16, 64
_WIDEST_ASPECT = 4
_WHITE, _NEARLY_WHITE = 250, 240
_EDGE_SHARE = 0.2
_STEEPEST = 8
_TAIL = 0.025

Pixels = NDArray[np.float32]


class Quality(NamedTuple):
    """What a picture is like; levels are of 255, shares of 1.

    - `blur`: 0 sharp to 1, how little its edges lose when it is blurred once more; 0 where it is too small to tell.
    - `contrast`: standard deviation of the luma.
    - `brightest`: the 99th percentile of the brightest of the three channels; `darkest`: the 5th of the luma.
    - `spread`: from the 1st to the 99th percentile of the channel where that is most.
    - `white`, `white_middle`, `white_frame`: the share that is burnt out: of all, of the middle half of either side, of
      the outermost pixels.
    - `edges`: the share of the area within which its edges lie, 1 where they reach the frame or there are none.
    """

    blur: float
    contrast: float
    brightest: float
    darkest: float
    spread: float
    white: float
    white_middle: float
    white_frame: float
    edges: float


def measure_quality(picture: Image.Image, small: Pixels) -> Quality:
    """The figures of an upright RGB `picture`, which is reduced to 128 pixels; `small` is all of it as [32, 32, 3]."""
    reduced = _reduced(picture)
    luma = np.asarray(reduced.convert("L"), np.float32)
    # Pillow's channels: numpy takes longer for a minimum of three than for all the rest.
    red, green, blue = reduced.split()
    dimmest = np.asarray(ImageChops.darker(ImageChops.darker(red, green), blue))
    height, width = dimmest.shape
    middle = dimmest[height // 4 : height - height // 4, width // 4 : width - width // 4]
    frame = np.concatenate([dimmest[0], dimmest[-1], dimmest[:, 0], dimmest[:, -1]])
    channels = np.ascontiguousarray(small.transpose(2, 0, 1))
    coarse = 0.299 * channels[0] + 0.587 * channels[1] + 0.114 * channels[2]
    ranked = np.sort(np.concatenate([channels, channels.max(axis=0)[None], coarse[None]]).reshape(5, -1))
    last = ranked.shape[1] - 1
    return Quality(
        blur=blur(luma),
        contrast=float(luma.std()),
        brightest=float(ranked[3, round(0.99 * last)]),
        darkest=float(ranked[4, round(0.05 * last)]),
        spread=float((ranked[:3, round(0.99 * last)] - ranked[:3, round(0.01 * last)]).max()),
        white=float((dimmest >= _WHITE).mean()),
        white_middle=float((middle >= _WHITE).mean()),
        white_frame=float((frame >= _NEARLY_WHITE).mean()),
        edges=_extent_of_edges(channels),
    )


def blur(luma: Pixels) -> float:
    """How blurred a picture is, [H, W] of 0..255: 0 sharp to 1.

    The blur effect of Crete et al. 2007 (The Blur Effect: Perception and Estimation with a New No-Reference Perceptual
    Blur Metric): the picture is averaged over 9 pixels along an axis, and of a sharp edge little slope is left, of a
    blurred one most. Here each slope counts by its square: what is in focus has the steep ones, and a soft background
    does not make a sharp thing blurred. Below 64 pixels the average is over 5.
    """
    short = min(luma.shape)
    if short < _LEAST_PX:
        return 0.0
    reach = 9 if short >= _FINE_PX else 5
    lost = whole = 0.0
    before = (reach - 1) // 2
    for values in (luma, np.ascontiguousarray(luma.T)):
        # The slope of an average over `reach` pixels is the difference of its ends.
        again = np.abs(values[reach:] - values[:-reach])
        again /= reach
        slope = np.abs(values[before + 1 : before + 1 + len(again)] - values[before : before + len(again)])
        whole += float(np.vdot(slope, slope))
        again -= slope
        np.minimum(again, 0, out=again)
        lost -= float(np.vdot(slope, again))
    return 1 - lost / whole if whole else 0.0


def _reduced(picture: Image.Image) -> Image.Image:
    """Its short side 128 at most, of a strip longer than 4:1 the middle."""
    width, height = picture.size
    longest = _WIDEST_ASPECT * min(width, height)
    left, top = max(0, width - longest) // 2, max(0, height - longest) // 2
    box = (left, top, left + min(width, longest), top + min(height, longest))
    scale = min(1.0, MEASURED_PX / min(width, height))
    size = (round((box[2] - box[0]) * scale), round((box[3] - box[1]) * scale))
    return picture.resize(size, Image.Resampling.BOX, box=box)


def _extent_of_edges(channels: Pixels) -> float:
    """The share of the area that the box around nearly all edges takes; [3, S, S] of 0..255.

    An edge is a slope of a fifth of the steepest, so that neither noise nor a sky's gradient is one, and grass is.
    """
    side = channels.shape[-1]
    slope = np.zeros((side, side), np.float32)
    slope[:, :-1] = np.abs(channels[:, :, 1:] - channels[:, :, :-1]).max(axis=0)
    slope[:-1] = np.maximum(slope[:-1], np.abs(channels[:, 1:] - channels[:, :-1]).max(axis=0))
    steepest = float(np.partition(slope, -_STEEPEST, axis=None)[-_STEEPEST:].mean())
    slope[slope <= _EDGE_SHARE * steepest] = 0
    total = float(slope.sum())
    if not total:
        return 1.0
    area = 1.0
    for axis in (0, 1):
        along = np.cumsum(slope.sum(axis=axis))
        first, last = (int(np.searchsorted(along, share * total)) for share in (_TAIL, 1 - _TAIL))
        if first == 0 or last >= side - 2:
            return 1.0
        area *= (last - first + 1) / side
    return area
