"""The penultimate features as a second output, for similarity search on the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_train import DeployedNetwork


class EmbeddingNetwork(nn.Module):
    """uint8 images `[N, H, W, 3]` to probabilities `[N, classes]`, of each task, and embeddings `[N, size]`; float32.

    The embedding is what enters `head`, a module path within the backbone; where that is a feature map, its mean
    over the picture (SqueezeNet's head is a convolution).
    """

    def __init__(self, network: DeployedNetwork, head: str) -> None:
        super().__init__()
        self.network = network
        self.head = head
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Probabilities and embeddings of already resized and cropped images."""
        entered: list[Tensor] = []
        head = self.network.network.backbone.get_submodule(self.head)
        # A hook leaves the backbone, and with it the names of its parameters, as the checkpoint has them.
        hook = head.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
        try:
            found = self.network(images)
        finally:
            hook.remove()
        features = entered[0].float()
        vectors = features.mean((2, 3)) if features.ndim == 4 else features.flatten(1)
        return (*found, vectors) if isinstance(found, tuple) else (found, vectors)

    def size(self, height_px: int, width_px: int) -> int:
        """The length of an embedding, for images of that size."""
        with torch.inference_mode():
            *_, embeddings = self(torch.zeros((1, height_px, width_px, 3), dtype=torch.uint8))
        return int(embeddings.shape[1])
