"""Mixup and CutMix: training on blends of two images, with blended labels."""

from __future__ import annotations

import torch
from torch import Tensor


class Mixing:
    """Blends each image of a batch with another one of it.

    mixup blends all of both (Zhang et al. 2018), cutmix pastes a rectangle of one into the other (Yun et al.
    2019); the share of each is drawn from Beta(alpha, alpha). Where both are wanted, each batch gets one or the
    other. Draws come from torch's generator.
    """

    def __init__(self, *, mixup: float, cutmix: float, classes: int) -> None:
        from torchvision.transforms import v2

        self.classes = classes
        self._ways = [
            way(alpha=alpha, num_classes=classes) for way, alpha in ((v2.MixUp, mixup), (v2.CutMix, cutmix)) if alpha
        ]

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 `[N, H, W, 3]` and labels to the mixed images, as uint8, and float32 targets `[N, classes]`.

        Labels are int64 `[N]`, or float32 `[N, classes]` where an image has several.
        """
        way = self._ways[int(torch.randint(len(self._ways), ()))]
        mixed, targets = way(images.permute(0, 3, 1, 2).float(), labels)
        return mixed.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1), targets
