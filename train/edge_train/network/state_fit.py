"""Whether a state dict fits a network, what does not, and whose it may be instead."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from edge_runtime import WeightsError
from edge_train.network.backbones import BACKBONES, Backbone
from edge_train.network.building import build
from edge_train.network.state_names import State, named_as, uncounted


def misfits(target: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """What of `state` is not as `target` has it: missing, unexpected and misshaped keys, some by name; [] for none."""
    missing = [key for key in target if key not in state]
    unexpected = [key for key in state if key not in target]
    misshaped = [
        f"{key} {form(state[key])} instead of {form(tensor)}"
        for key, tensor in target.items()
        if key in state and form(state[key]) != form(tensor)
    ]
    return [
        *_list("missing", missing),
        *_list("unexpected", unexpected),
        *_list("of another shape or type", misshaped),
    ]


def copy_into(target: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors that fit, widened, into a network's own; raises WeightsError, and copies none, where one is NaN."""
    for key, tensor in state.items():
        # Not all of float8 can be asked.
        if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all():
            raise WeightsError(f"{path} holds NaN or infinite values in {key}", "take an undamaged copy")
    with torch.no_grad():
        for key, tensor in state.items():
            target[key].copy_(tensor)


def form(tensor: Tensor) -> str:
    """Shape and kind of a tensor; precisions of one kind are alike."""
    # Precisions of one kind convert into each other; integers in place of floats are quantized weights.
    kind = "" if tensor.is_floating_point() else f" {tensor.dtype}".replace("torch.", "")
    return f"[{', '.join(map(str, tensor.shape))}]{kind}"


def _list(what: str, keys: list[str], most: int = 3) -> list[str]:
    if not keys:
        return []
    rest = ", …" if len(keys) > most else ""
    return [f"{len(keys)} {what} ({', '.join(keys[:most])}{rest})"]


def guess_backbone(state: State, asked: Backbone) -> str:
    """A sentence on whose weights these are, which are not of the backbone that was asked for."""
    likeness = _likeness(state)
    best = max(likeness, key=likeness.__getitem__)
    if likeness[best] < 0.5:
        return "these are not the weights of any backbone that edge knows"
    if best == asked.name:
        return f"a damaged or modified {best}? take torchvision's own state dict"
    if likeness[best] < 0.9:
        return f"the nearest backbone is {best}, which it does not fit either"
    return f"these look like the weights of {best}: use `backbone` {best}"


def nearest_backbone(state: State) -> str:
    """The backbone of the table whose body these tensors are, whatever stands before their names; "" for none."""
    for backbone in BACKBONES.values():
        plan = _known(backbone.name)
        try:
            named = named_as(plan, state, Path()).tensors
        except WeightsError:  # it is there twice
            continue
        target = {key: t for key, t in uncounted(plan.state_dict()).items() if not key.startswith(f"{backbone.head}.")}
        there = {key: t for key, t in named.items() if not key.startswith(f"{backbone.head}.")}
        if not misfits(target, there):
            return backbone.name
    return ""


def _likeness(state: State) -> dict[str, float]:
    """By backbone, the share of tensors before the head that are the same in name and shape."""

    def body(state: State, backbone: Backbone) -> set[tuple[str, str]]:
        return {(key, form(t)) for key, t in state.items() if not key.startswith(f"{backbone.head}.")}

    likeness = {}
    for backbone in BACKBONES.values():
        known, have = body(uncounted(_known(backbone.name).state_dict()), backbone), body(state, backbone)
        likeness[backbone.name] = len(known & have) / len(known | have)
    return likeness


def blueprint(backbone: Backbone, *, classes: int = 2, size_px: int | None = None) -> nn.Module:
    """The network for its names and shapes alone, on the meta device where it can be built there."""
    with torch.random.fork_rng(devices=[]):
        try:
            # A user's own code need not know of that device.
            with torch.device("meta" if backbone.maker is None else "cpu"):
                return build(backbone, classes=classes, size_px=size_px)
        except RuntimeError:
            # RegNet works out its widths with tensors, which the meta device does not compute.
            return build(backbone, classes=classes, size_px=size_px)


@cache
def _known(name: str) -> nn.Module:
    """The blueprint of a backbone of the table; on the meta device it takes no memory to speak of."""
    return blueprint(BACKBONES[name]).to("meta")
