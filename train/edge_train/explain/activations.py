"""What the layers of a network make of one picture: their maps, and the filters of their convolutions."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_runtime import CheckpointError, UsageError
from edge_train.explain.channel_axis import WatchedChannels, channels_first
from edge_train.network.network import Network

# More names than a person reads in one line; --activations list has all.
_NAMED = 20


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as torch names it, what kind of module it is, and the shape it gives for one picture.

    Maps are `(maps, height, width)`, also of a layer that gives its channels last. `has_maps` says whether there is
    something to look at: three lengths, and more than one place in a map.
    """

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def has_maps(self) -> bool:
        """Whether it gives maps with places, which can be drawn."""
        return len(self.shape) == 3 and self.shape[1] * self.shape[2] > 1


@dataclass(frozen=True, slots=True, eq=False)
class LayerActivations:
    """The maps of one layer for one picture, float32 `[maps, height, width]`, in the layer's own order.

    `filters` are those of its first convolution that is wider than 1×1, `filters_of`, which is the layer itself or
    lies in it: float32 `[filters, height, width, 3]` where they look at red, green and blue, else
    `[filters, height, width]`, of each the input that it weighs most. Both are None where there is no such convolution.
    """

    layer: str
    maps: NDArray[np.float32]
    filters_of: str | None = None
    filters: NDArray[np.float32] | None = None

    @property
    def by_strength(self) -> tuple[int, ...]:
        """The maps' numbers, from 0, the one with the largest mean absolute value first."""
        strengths = np.abs(self.maps).mean(axis=(1, 2))
        return tuple(int(index) for index in np.argsort(-strengths, kind="stable"))


def layers_in(network: Network, height_px: int, width_px: int) -> tuple[Layer, ...]:
    """The layers of a network that give one tensor each for a picture of that size, in the order of its modules."""
    outputs: dict[str, Tensor] = {}
    with _heard(network.backbone, outputs):
        _run(network, np.zeros((height_px, width_px, 3), np.uint8))
    return tuple(
        Layer(name, type(module).__name__, tuple(outputs[name].shape[1:]))
        for name, module in network.backbone.named_modules()
        if name in outputs
    )


def look_at_layer(network: Network, backbone: str, pixels: NDArray[np.uint8], layer: str) -> LayerActivations:
    """What `layer` makes of the model's input, uint8 `[H, W, 3]` RGB. A layer that is used twice: its last output.

    `backbone` is what messages call the network.

    Raises:
        UsageError: there is no such layer, or it gives no maps.
        CheckpointError: the weights give what is no number.
    """
    module = dict(network.backbone.named_modules()).get(layer) if layer else None
    outputs: dict[str, Tensor] = {}
    if module is not None:
        with _heard(network.backbone, outputs, layer):
            _run(network, pixels)
    if module is None or layer not in outputs:
        layers = layers_in(network, *pixels.shape[:2])
        raise _unknown(backbone, layers, layer, known=module is not None)
    maps = outputs[layer]
    if maps.ndim != 4 or maps.shape[0] != 1 or maps.shape[2] * maps.shape[3] == 1:
        shape = "×".join(map(str, maps.shape[1:]))
        there = ", ".join(_suggested(layers_in(network, *pixels.shape[:2]))[-5:])
        raise UsageError(
            f"{layer} of {backbone} gives a vector ({shape}), no maps with places to draw",
            f"choose another, such as {there}" if there else "none of its layers gives maps",
        )
    if not bool(torch.isfinite(maps).all()):
        raise CheckpointError(f"{layer} gives what is no number: the weights are broken", "train again")
    filters_of, filters = _filters(module, layer)
    return LayerActivations(layer, maps[0].float().numpy(), filters_of, filters)


@contextmanager
def _heard(backbone: nn.Module, outputs: dict[str, Tensor], only: str | None = None) -> Iterator[None]:
    """Keep in `outputs` what each layer gives, the last time that it is called, while the context lasts."""

    def keep(name: str) -> object:
        def hear(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                # The activation behind it may change it in place.
                outputs[name] = channels_first(output).detach().clone()

        return hear

    hooks = [
        module.register_forward_hook(keep(name))
        for name, module in backbone.named_modules()
        if name and only in (None, name)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _run(network: nn.Module, pixels: NDArray[np.uint8]) -> None:
    with torch.no_grad(), WatchedChannels():
        network(torch.from_numpy(np.ascontiguousarray(pixels))[None])


def _filters(module: nn.Module, layer: str) -> tuple[str | None, NDArray[np.float32] | None]:
    for below, part in module.named_modules():
        if isinstance(part, nn.Conv2d) and max(part.kernel_size) > 1:
            weight = part.weight.detach().float().numpy()
            name = f"{layer}.{below}" if below else layer
            # Only what sees the picture itself has three inputs that are colours.
            if weight.shape[1] == 3 and part.groups == 1:
                return name, np.ascontiguousarray(weight.transpose(0, 2, 3, 1))
            strongest = np.abs(weight).sum(axis=(2, 3)).argmax(axis=1)
            return name, weight[np.arange(len(weight)), strongest]
    return None, None


def _unknown(backbone: str, layers: tuple[Layer, ...], layer: str, *, known: bool) -> UsageError:
    names = [each.name for each in layers if each.has_maps]
    close = [] if known else difflib.get_close_matches(layer, names, n=1, cutoff=0.85)
    message = f"{backbone} has no layer {layer!r}"
    if known:
        message = f"{layer} of {backbone} gives nothing that could be drawn"
    there = f"there are {', '.join(_suggested(layers))}" if names else "it has no layer with maps"
    hint = f"did you mean {close[0]}? {there}" if close else there
    return UsageError(message, f"{hint}; edge explain --activations list has all" if names else hint)


def _suggested(layers: tuple[Layer, ...]) -> list[str]:
    """The layers with maps, the outer ones alone where all are too many to read."""
    names = [each.name for each in layers if each.has_maps]
    for depth in range(max((name.count(".") for name in names), default=0), -1, -1):
        outer = [name for name in names if name.count(".") <= depth]
        if len(outer) <= _NAMED:
            return outer
    return names[:_NAMED]
