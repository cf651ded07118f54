"""How large the model's input is for pictures of a size: one rule, for training and for the preview of it."""

from __future__ import annotations

import random
import statistics

from edge_data.sets.picture_header import open_header
from edge_runtime import ClassFolders

SAMPLED_IMAGES = 50
LEAST_PX, STEP_PX = 64, 32


def input_size(typical_px: int | None, own_px: int, *, asked_px: int | None, set_px: int | None) -> tuple[int, bool]:
    """The side of the square input in pixels, and whether pictures are used whole, without a margin cut off.

    Where neither the user nor the data set asks for one, it is the backbone's own, or for smaller pictures twice theirs
    and at least 64: enlarging costs time with the square of the side, and backbones pretrained on photos need
    resolution. Pictures whose size is not known (`typical_px` None) are taken for photos.
    """
    if typical_px is None:
        typical_px = 2 * own_px
    fitting = min(own_px, max(LEAST_PX, -(-2 * typical_px // STEP_PX) * STEP_PX))
    side = next(px for px in (asked_px, set_px, fitting) if px is not None)
    return side, typical_px <= (own_px if asked_px is None else asked_px)


def typical_short_side_px(folders: ClassFolders) -> int | None:
    """The median short side over a sample of the images, read from their headers; None where none opens."""
    samples = [sample for split in folders.splits.values() for sample in split]
    chosen = random.Random(0).sample(samples, min(SAMPLED_IMAGES, len(samples)))
    sides = []
    for sample in chosen:
        try:
            with (folders.root / sample.path).open("rb") as file, open_header(file) as image:
                sides.append(min(image.size))
        except Exception:
            continue
    return round(statistics.median(sides)) if sides else None
