"""Where the channels of a tensor lie: before its places after a convolution, behind them in a block of ConvNeXt.

A layer does not say which of the lengths that it gives counts its maps. The functions that make a tensor do: what a
convolution gives has them first, what a linear layer or a layer norm gives has them last, and moving axes moves them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_FIRST = frozenset({functional.conv2d, functional.batch_norm})
_LAST = frozenset({functional.linear, functional.layer_norm, torch.layer_norm, functional.rms_norm})
_MOVES = frozenset(
    getattr(owner, name)
    for owner in (torch, Tensor)
    for name in ("permute", "transpose", "movedim", "moveaxis", "swapaxes", "swapdims")
)
# The attribute that a tensor has it in, as long as it lives.
_AXIS = "_edge_channel_axis"


class WatchedChannels(TorchFunctionMode):
    """While the context lasts, each tensor is noted which axis its channels lie on; `channels_first` reads it."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """What `func` gives, its tensors noted."""
        del types
        given = kwargs or {}
        found = func(*args, **given)
        source = next((each for each in _tensors((*args, *given.values())) if hasattr(each, _AXIS)), None)
        for made in _tensors((found,)):
            if (axis := _axis(func, source, made, args[1:], given)) is not None:
                setattr(made, _AXIS, axis)
        return found


def channels_first(tensor: Tensor) -> Tensor:
    """The tensor, `[N, H, W, C]` as `[N, C, H, W]`; as it is where nothing is noted of it."""
    return tensor.movedim(getattr(tensor, _AXIS, 1), 1) if tensor.ndim == 4 else tensor


def _axis(
    func: Callable[..., Any], source: Tensor | None, made: Tensor, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> int | None:
    """The axis of the channels in what `func` made of `source`, None where it cannot be told."""
    if func in _FIRST:
        return 1
    if func in _LAST:
        return made.ndim - 1
    if source is None:
        return None
    axis: int = getattr(source, _AXIS)
    if func in _MOVES:
        # Of axes that all have another length.
        probe = func(torch.empty(tuple(range(1, source.ndim + 1)), device="meta"), *args, **kwargs)
        return tuple(probe.shape).index(axis + 1)
    if made.ndim == source.ndim:
        return axis
    return made.ndim - 1 if axis == source.ndim - 1 and made.shape[-1:] == source.shape[-1:] else None


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    for each in values:
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, list | tuple):
            yield from (one for one in each if isinstance(one, Tensor))
