"""Progressive resizing: small pictures in the first epochs, which cost less, and the input's own size in the last.

The sides grow evenly from epoch to epoch, and the last fifth of the epochs sees whole-sized pictures, as in MosaicML's
Composer (its `finetune_fraction`); fast.ai trained ImageNet so in 2018. Validation is at the input's own size always.
"""

from __future__ import annotations

import math

from edge_runtime import UsageError
from edge_train.network.backbones import Backbone

WHOLE_SHARE = 0.2
STEP_PX = 4


def first_whole_epoch(epochs: int) -> int:
    """The first epoch, from 1, whose pictures have the input's own size."""
    return epochs - max(1, round(WHOLE_SHARE * epochs)) + 1


def epoch_size_px(start_px: int | None, whole_px: int, epoch: int, epochs: int) -> int:
    """The side of the pictures that train in `epoch`, from 1; a multiple of 4 px below the input's own."""
    whole_from = first_whole_epoch(epochs)
    if start_px is None or epoch >= whole_from:
        return whole_px
    side = start_px + (whole_px - start_px) * (epoch - 1) / (whole_from - 1)
    return max(start_px, math.floor(side / STEP_PX) * STEP_PX)


def require_sizes(start_px: int, whole_px: int, epochs: int, backbone: Backbone) -> str:
    """One sentence on the sizes that a run trains at. Raises UsageError where there is nothing to grow to or from."""
    if start_px >= whole_px:
        raise UsageError(
            f"`start_size` {start_px} is not below the input's {whole_px} px", "lower it, or raise `image_size`"
        )
    if start_px < backbone.smallest_px:
        raise UsageError(
            f"`start_size` {start_px}: {start_px} pixels are too few for {backbone.name}",
            f"its layers need at least {backbone.smallest_px}",
        )
    sizes = [epoch_size_px(start_px, whole_px, epoch, epochs) for epoch in range(1, epochs + 1)]
    if backbone.maker is not None:
        try:
            # One network meets all of them: many a transformer takes pictures of the size alone that it was made for.
            backbone.maker.require_size(whole_px, *dict.fromkeys(size for size in sizes if size != whole_px))
        except UsageError as error:
            raise UsageError(
                f"`start_size` {start_px}: {error.message}", "drop `start_size`, or choose another `backbone`"
            ) from error
    shown = ", ".join(str(size) for size in dict.fromkeys(sizes))
    return f"progressive resizing: the epochs train at {shown} px, and are validated at {whole_px}"
