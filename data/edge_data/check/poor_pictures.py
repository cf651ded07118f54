"""Which pictures a person would look at again: blurred, dark, burnt out, of one colour, or of something tiny.

All are notes: a dark picture may be what the camera will see. The limits were set by looking at what they find.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edge_data.check.quality import Quality

# What so many have in common is no oddity of one picture.
_MANNER = 1 / 3
_LEAST_IMAGES = 20

_BLUR, _BLUR_DEVIATIONS, _LEAST_DEVIATION = 0.4, 4, 0.02
_NORMAL_QUARTILES = 1.349
_LEAST_CONTRAST = 4.0
_DARK = 64.0
_FLAT = 12.0
_WHITE, _WHITE_FRAME, _NOT_DARK = 0.3, 0.9, 64.0
_TINY_SHARE, _TINY_CONTRAST = 0.08, 4.0


def poor_pictures(qualities: Mapping[str, Quality]) -> dict[str, list[str]]:
    """Kinds of findings -> the paths each is about, the worst first; `qualities` by path, of a whole set.

    A picture has one kind, the first that is said of it: of a black one nobody asks how sharp it is. What is true of
    more than a third of the set is its manner, receipts' white say, and is not told of single pictures.
    """
    too_blurred = _blur_limit(list(qualities.values()))
    rules: tuple[tuple[str, Callable[[Quality], bool], Callable[[Quality], float]], ...] = (
        ("dark", lambda it: it.brightest <= _DARK, lambda it: it.brightest),
        ("nearly-blank", lambda it: it.spread <= _FLAT, lambda it: it.spread),
        ("overexposed", _is_burnt_out, lambda it: -it.white_middle),
        ("blurred", lambda it: it.blur >= too_blurred and it.contrast >= _LEAST_CONTRAST, lambda it: -it.blur),
        (
            "tiny-subject",
            lambda it: it.edges <= _TINY_SHARE and it.contrast >= _TINY_CONTRAST,
            lambda it: it.edges,
        ),
    )
    found: dict[str, list[str]] = {}
    left = dict(qualities)
    for kind, is_one, order in rules:
        ones = sorted((path for path, it in left.items() if is_one(it)), key=lambda path: order(left[path]))
        if ones and len(ones) <= max(1, _MANNER * len(qualities)):
            found[kind] = ones
            for path in ones:
                del left[path]
    return found


def outlying(values: Sequence[float], deviations: float, least_deviation: float) -> float:
    """Median and so many deviations above it; a deviation is that of a normal distribution with the same quartiles."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return float(middle + deviations * max((high - low) / _NORMAL_QUARTILES, least_deviation))


def _blur_limit(qualities: Sequence[Quality]) -> float:
    """A set may be soft as a whole: blurred is what is so by itself, and among the others."""
    if len(qualities) < _LEAST_IMAGES:
        return np.inf
    return max(_BLUR, outlying([it.blur for it in qualities], _BLUR_DEVIATIONS, _LEAST_DEVIATION))


def _is_burnt_out(it: Quality) -> bool:
    # A thing before white paper has a white frame; what is burnt out has lost its darkness, too.
    return min(it.white, it.white_middle) >= _WHITE and it.white_frame <= _WHITE_FRAME and it.darkest >= _NOT_DARK
