"""Convolutions in bfloat16 on a CPU, rearranged for training where oneDNN's kernels for them take many times as long.

Three of them do, by `edge bench --train precision`; the numbers are the same but for rounding:

- Dense ones over maps of a few pixels: the gradient of the weights sums over a row of the map, and a tile of AMX takes
  32 of its pixels at once. Images side by side in one long row, with zeros between, fill it. With AVX512 alone a row is
  worth filling where there are many weights for each of its pixels.
- Pointwise ones over such maps: a matrix product of all pixels is one.
- Depthwise ones with a stride, or other kernels than 3x3: their gradients have no kernel in bfloat16 of their own.
  They are computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from edge_runtime import instruction_sets

# Up to this width of the map that a convolution gives its kernels are slow, px.
_SMALL_PX = 8
# How long a row of images may become, px.
_ROW_PX = 128
# Without AMX: the channels of what is convolved for each pixel of a row from which filling rows takes less time (Zen 5;
# 64 images of 1 to 16 px, 64 to 512 channels: mostly 1.1 to 2.4 times as fast above it, 0.65 to 1.3 below).
_CHANNELS_A_PX = 64


class RearrangedConvolutions(TorchFunctionMode):
    """Within it the convolutions of networks are taken as the module says; with `tiles` all those that AMX wants so.

    Only what gradients are recorded for is rearranged, and only on the CPU under autocast to bfloat16. What is
    checkpointed stays as it is: it is computed again in the backward pass, outside, and has to be alike.
    """

    def __init__(self, *, tiles: bool) -> None:
        super().__init__()
        self._tiles = tiles

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        wanted = func is torch.conv2d and torch.is_grad_enabled() and torch.is_autocast_enabled("cpu")
        if wanted and not _is_checkpointed():
            return self._convolve(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _convolve(  # noqa: PLR0917 (torch's own order)
        self,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Tensor:
        learns = input.requires_grad or weight.requires_grad
        if learns and input.dim() == 4 and input.device.type == "cpu" and not isinstance(padding, str):
            kernel, strides, pads = tuple(weight.shape[2:]), _pair(stride), _pair(padding)
            row_px = -(-input.shape[3] // strides[1])
            if groups == input.shape[1] > 1 and (strides != (1, 1) or kernel != (3, 3)):
                return _in_float32(input, weight, bias, stride, padding, dilation, groups)
            if row_px <= _SMALL_PX and groups == 1 and _pair(dilation) == (1, 1):
                if kernel == (1, 1) and pads == (0, 0):
                    if self._tiles or input.shape[3] <= _SMALL_PX:
                        return _as_product(input, weight, bias, strides)
                elif kernel[1] % 2 == 1 and pads[1] == kernel[1] // 2 and self._fills(input.shape[1], row_px):
                    return _side_by_side(input, weight, bias, strides, pads)
        return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)

    def _fills(self, channels: int, row_px: int) -> bool:
        return self._tiles or channels >= _CHANNELS_A_PX * row_px


@contextmanager
def training_in_bf16() -> Iterator[None]:
    """A context in which a training step computes in bfloat16 on this machine's CPU, by the kernels that are fast."""
    sets = _instruction_sets()
    # Arm's kernels are others, and were not measured.
    rearranged = RearrangedConvolutions(tiles="amx_bf16" in sets) if "avx512f" in sets else nullcontext()
    with torch.autocast("cpu", dtype=torch.bfloat16), rearranged:
        yield


@cache
def _instruction_sets() -> frozenset[str]:
    """Read once: it is asked for at every step."""
    return frozenset(instruction_sets())


def _is_checkpointed() -> bool:
    """Whether what the graph saves goes through somebody's hooks, as of `torch.utils.checkpoint`; torch tells it so."""
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def _in_float32(images: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        found = torch.conv2d(images.float(), weight.float(), None if bias is None else bias.float(), *how)
    return found.to(torch.bfloat16)


def _as_product(images: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int]) -> Tensor:
    pixels = images[:, :, :: stride[0], :: stride[1]].permute(0, 2, 3, 1)
    return nn.functional.linear(pixels, weight.flatten(1), bias).permute(0, 3, 1, 2)


def _side_by_side(
    images: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """The convolution of `images`, N x C x H x W, as one of N / m images of m times the width, zeros between them.

    Where padding is half the kernel, `padding` columns of zeros keep neighbours apart; what is computed over these
    is left out.
    """
    count, channels, height, width = images.shape
    period = -(-(width + padding[1]) // stride[1]) * stride[1]
    most = max(_ROW_PX // period, 1)
    together = next(m for m in range(min(most, max(count, 1)), 0, -1) if count % m == 0)
    if together == 1:
        return torch.conv2d(images, weight, bias, stride, padding)
    # Channels last throughout; rounded first, so that half as much is copied.
    rows = nn.functional.pad(images.to(torch.bfloat16).permute(0, 2, 3, 1), (0, 0, 0, period - width))
    rows = rows.view(count // together, together, height, period, channels).transpose(1, 2)
    row = rows.reshape(count // together, height, together * period, channels).permute(0, 3, 1, 2)
    found = torch.conv2d(row, weight, bias, stride, padding)
    _, made, high, _ = found.shape
    wide = -(-width // stride[1])
    parts = found.permute(0, 2, 3, 1).reshape(count // together, high, together, period // stride[1], made)
    return parts[:, :, :, :wide].transpose(1, 2).reshape(count, high, wide, made).permute(0, 3, 1, 2)
