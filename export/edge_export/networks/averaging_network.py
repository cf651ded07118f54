"""Several views of each picture, answered by one network and averaged."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_runtime import AveragedViews


class AveragingNetwork(nn.Module):
    """uint8 images as the views' preprocessing makes them to their views' mean probabilities, float32 `[N, classes]`.

    `network` maps uint8 `[N, H, W, 3]` of the model's own contract to probabilities.
    """

    def __init__(self, network: nn.Module, views: AveragedViews) -> None:
        super().__init__()
        self.network = network
        self.views = views
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities, each row summing to 1."""
        height, width = self.views.contract.height_px, self.views.contract.width_px
        seen = []
        for view in self.views.views:
            part = images[:, view.top : view.top + height, view.left : view.left + width]
            seen.append(part.flip(2) if view.mirrored else part)
        # All in one batch: the network stands in the file once.
        answers: Tensor = self.network(torch.cat(seen))
        return answers.reshape(len(seen), -1, answers.shape[1]).mean(0)
