"""How large the model's input is for pictures of a size: one rule, for training and for the preview of it."""

from __future__ import annotations

import random
import statistics

from PIL import Image

from edge_runtime import ClassFolders

SAMPLED_IMAGES = 50
LEAST_PX, STEP_PX = 64, 32
UNKNOWN_PX = 224


def input_size(typical_px: int, own_px: int, *, asked_px: int | None, set_px: int | None) -> tuple[int, bool]:
    """The side of the square input in pixels, and whether pictures are used whole, without a margin cut off.

    Where neither the user nor the data set asks for one, it is the backbone's own, or for smaller pictures twice theirs
    and at least 64: enlarging costs time with the square of the side, and backbones pretrained on photos need
    resolution.
    """
    fitting = min(own_px, max(LEAST_PX, -(-2 * typical_px // STEP_PX) * STEP_PX))
    side = next(px for px in (asked_px, set_px, fitting) if px is not None)
    return side, typical_px <= (own_px if asked_px is None else asked_px)


def typical_short_side_px(folders: ClassFolders) -> int:
    """The median short side over a sample of the images, read from their headers; 224 where none opens."""
    samples = [sample for split in folders.splits.values() for sample in split]
    chosen = random.Random(0).sample(samples, min(SAMPLED_IMAGES, len(samples)))
    sides = []
    for sample in chosen:
        try:
            with Image.open(folders.root / sample.path) as image:
                sides.append(min(image.size))
        except Exception:
            continue
    return round(statistics.median(sides)) if sides else UNKNOWN_PX
