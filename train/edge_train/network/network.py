"""From pixels to logits to probabilities: the backbone with its scaling and normalisation inside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional


class DropoutLinear(nn.Linear):
    """A linear layer with dropout on its input, under the parameter names of a plain one."""

    def __init__(self, in_features: int, out_features: int, *, probability: float) -> None:
        super().__init__(in_features, out_features)
        self.probability = probability

    @classmethod
    def around(cls, layer: nn.Linear, probability: float) -> Self:
        """The same layer, sharing its weight and bias, with dropout in front."""
        made = cls(layer.in_features, layer.out_features, probability=probability)
        made.weight, made.bias = layer.weight, layer.bias
        return made

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, dropout={self.probability}"

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(functional.dropout(input, self.probability, self.training))


class Network(nn.Module):
    """uint8 RGB images `[N, H, W, 3]` to float32 logits `[N, classes]`.

    Mean and standard deviation are per channel, for pixels scaled to [0, 1]. They travel in the state dict,
    so a checkpoint keeps the normalisation it was trained with, whatever a later torchvision's presets say.

    `fixed` names the backbone's parameters that came without a gradient: who made it wants them to stay as they are.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.backbone = backbone
        self.fixed = frozenset(name for name, own in backbone.named_parameters() if not own.requires_grad)
        self.register_buffer("mean", _per_channel(mean))
        self.register_buffer("std", _per_channel(std))

    def normalize_by(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Take another mean and standard deviation than it was made with."""
        self.mean.copy_(_per_channel(mean))
        self.std.copy_(_per_channel(std))

    def take_gradients(self) -> None:
        """Let every parameter that can have a gradient have one, also what is `fixed`."""
        for parameter in self.parameters():
            parameter.requires_grad_(parameter.is_floating_point() or parameter.is_complex())

    def forward(self, images: Tensor) -> Tensor:
        """Logits of already resized and cropped images.

        Raises:
            TypeError: the images are not uint8.
        """
        # A float image could be in [0, 1] or [0, 255]; guessing wrong gives confident nonsense.
        if images.dtype != torch.uint8:
            raise TypeError(f"images must be uint8 [N, H, W, 3], not {images.dtype}")
        # The permuted view of [N, H, W, 3] is channels_last, the layout a CPU's convolutions are fastest in.
        pixels = images.permute(0, 3, 1, 2).float()
        if torch.compiler.is_exporting():
            # torch.export records memory layouts: from channels_last, global pooling becomes ten nodes.
            pixels = pixels.contiguous()
        # (pixels / 255 - mean) / std, arranged so that constants fold and two passes over the image remain.
        logits: Tensor = self.backbone((pixels - self.mean * 255) / (self.std * 255))
        return logits.flatten(1).float()


def _per_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(1, 3, 1, 1)


class DeployedNetwork(nn.Module):
    """What is exported: uint8 RGB images `[N, H, W, 3]` to float32 probabilities `[N, classes]`.

    Probabilities are softmax(logits / temperature), after Guo et al., "On Calibration of Modern Neural
    Networks" (2017), section 4.2. Building it puts the network in eval mode.

    Raises:
        ValueError: a temperature that is not positive.
    """

    def __init__(self, network: Network, temperature: float = 1.0) -> None:
        super().__init__()
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"temperature must be positive, not {temperature}")
        self.network = network
        self.temperature = float(temperature)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities of already resized and cropped images; each row sums to 1."""
        return torch.softmax(self.network(images) / self.temperature, dim=1)
