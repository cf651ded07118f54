"""`--strategy auto`: which strategy the course advises for so many images on such a machine."""

from __future__ import annotations

import torch

from edge_train.network.backbones import Backbone
from edge_train.settings import FINE_TUNING, Strategy, TrainSettings

FEW_IMAGES = 1000
# Fine-tuning costs about three forward passes an image and epoch; two cores do some 50 billion multiply-adds a second.
FORWARD_PASSES = 3
CPU_GMACS_PER_S = 50.0
PATIENCE_S = 3600.0


def choose_strategy(
    settings: TrainSettings, backbone: Backbone, *, images: int, size_px: int, device: torch.device, pretrained: bool
) -> tuple[Strategy, str]:
    """The strategy for `images` training images of `size_px` pixels, and why, in one sentence.

    Without pretrained weights only training from scratch is left. With them, a new head on a frozen backbone
    suffices for a few hundred images, which fine-tuning would learn by heart; with a thousand or more fine-tuning is
    the most accurate, unless there is no GPU and it would take more than an hour.
    """
    if not pretrained:
        return "scratch", "no pretrained weights" + ("; so few images may not suffice" if images < FEW_IMAGES else "")
    asked = next((name for name, default in FINE_TUNING.items() if getattr(settings, name) != default), None)
    if asked is None and settings.start_size is not None:
        asked = "start_size"
    if asked is not None:
        return "fine-tune", f"`{asked}` is for fine-tuning"
    if settings.views is not None:
        return "feature-extraction", "`views` is for feature extraction"
    if images < FEW_IMAGES:
        return "feature-extraction", f"{images} images are few: fewer than {FEW_IMAGES:,} overfit a whole backbone"
    gmacs = backbone.gflops * (size_px / backbone.image_size_px) ** 2 * FORWARD_PASSES * images * settings.epochs
    hours = gmacs / CPU_GMACS_PER_S / 3600
    if device.type == "cpu" and hours * 3600 > PATIENCE_S:
        return "feature-extraction", f"fine-tuning would take about {hours:.0f} hours without a GPU"
    return "fine-tune", f"{images:,} images and pretrained weights are at hand"
