"""Attention after each stage of a convolutional backbone: which channels, and which places, count for this picture.

Every gate is 2 sigmoid(z) = 1 + tanh(z / 2), and the last layer before it begins at zero: it is exactly 1 then, so a
pretrained network answers as it did, bit for bit, while that layer's gradient is not zero and the first step moves it.
(sigmoid alone, as published, halves every map at the start.)
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from edge_train.network.backbones import Attention

# The name that the block has in the module it stands behind; no network has one of its own that is called so.
CHILD = "added_attention"
REDUCTION = 16
LEAST_HIDDEN = 8
SPATIAL_KERNEL = 7


def is_of_attention(parameter: str) -> bool:
    """Whether the parameter or buffer of that dotted name belongs to added attention."""
    return f".{CHILD}." in f".{parameter}"


class SqueezeExcitation(nn.Module):
    """Channels weighed by what their means say together (Hu et al. 2018, "Squeeze-and-Excitation Networks", section 3).

    Maps `[N, C, H, W]` to the same, through max(8, C / 16) hidden units.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.excitation = _bottleneck(channels)

    def forward(self, maps: Tensor) -> Tensor:
        """The maps, each channel times its gate."""
        return maps * _gate(self.excitation(maps.mean((2, 3), keepdim=True)))


class EfficientChannelAttention(nn.Module):
    """Channels weighed by their own mean and their neighbours' (Wang et al. 2020, "ECA-Net", section 3.3).

    Maps `[N, C, H, W]` to the same; the kernel is the odd number nearest to log2(C) / 2 + 1 / 2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        size = int(abs(math.log2(channels) / 2 + 0.5))
        size += 1 - size % 2
        self.neighbours = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)
        nn.init.zeros_(self.neighbours.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """The maps, each channel times its gate."""
        means = maps.mean((2, 3)).unsqueeze(1)
        gates: Tensor = self.neighbours(means)
        return maps * _gate(gates.squeeze(1)[:, :, None, None])


class BlockAttention(nn.Module):
    """Channels, then places (Woo et al. 2018, "CBAM: Convolutional Block Attention Module", section 3).

    Maps `[N, C, H, W]` to the same. Channels are weighed by mean and maximum over the picture, places by mean and
    maximum over the channels, through a 7×7 convolution; without the batch norm that its authors' code has behind it,
    which would keep no identity.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = _bottleneck(channels)
        self.places = nn.Conv2d(2, 1, SPATIAL_KERNEL, padding=SPATIAL_KERNEL // 2, bias=False)
        nn.init.zeros_(self.places.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """The maps, each channel and then each place times its gate."""
        mean, most = maps.mean((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
        maps = maps * _gate(self.channels(mean) + self.channels(most))
        seen = torch.cat([maps.mean(1, keepdim=True), maps.amax(1, keepdim=True)], dim=1)
        return maps * _gate(self.places(seen))


_BLOCKS = {"se": SqueezeExcitation, "cbam": BlockAttention, "eca": EfficientChannelAttention}


def add_attention(model: nn.Module, attention: Attention) -> None:
    """Put a block behind each of the sites, whose parameters keep their names; the model answers as before."""
    for path, channels in attention.sites:
        module = model.get_submodule(path)
        module.add_module(CHILD, _BLOCKS[attention.kind](channels))
        # As torch's parametrize does it: a wrapper around the module would rename every weight in it.
        module.__class__ = type(f"{type(module).__name__}WithAttention", (_WithAttention, type(module)), {})


def count_attention(attention: Attention) -> int:
    """How many parameters the blocks have together."""
    with torch.random.fork_rng(devices=[]):
        blocks = [_BLOCKS[attention.kind](channels) for _, channels in attention.sites]
    return sum(parameter.numel() for block in blocks for parameter in block.parameters())


class _WithAttention(nn.Module):
    """What a module becomes that has a block behind it."""

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        attended: Tensor = self.get_submodule(CHILD)(super().forward(*inputs, **named))
        return attended


def _bottleneck(channels: int) -> nn.Sequential:
    """Two layers over `[N, C, 1, 1]`, the last of which begins at zero."""
    hidden = max(LEAST_HIDDEN, channels // REDUCTION)
    last = nn.Conv2d(hidden, channels, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(cast("Tensor", last.bias))
    return nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), last)


def _gate(scores: Tensor) -> Tensor:
    return 2 * torch.sigmoid(scores)
