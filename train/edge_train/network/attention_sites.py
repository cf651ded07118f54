"""Where attention goes in a backbone: behind the last feature map of each stage."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast, get_args

import torch
from torch import Tensor, nn

from edge_runtime import UsageError
from edge_train.network.attention import CHILD
from edge_train.network.backbones import Attention, AttentionKind, Backbone, Stage
from edge_train.network.building import build

_CLASSES = 2


# A network of one's own is told by its maker, which knows the hash of its code.
def with_attention(backbone: Backbone, kind: object) -> Backbone:
    """The same backbone with attention of that kind behind each stage that ends in a feature map `[N, C, H, W]`.

    The block belongs to its stage. `kind` is a choice of the setting `attention`; "none" and None leave it as it is.

    Raises:
        UsageError: there is no such kind, or the backbone has no feature maps, as a transformer has none.
    """
    if kind is None or kind == "none":
        return backbone
    if kind not in get_args(AttentionKind):
        raise UsageError(f"`attention` {kind} is not known", f"choose {', '.join(get_args(AttentionKind))}")
    if backbone.maker is not None and backbone.features is None:
        raise _no_maps(backbone)
    stages, sites = _find_sites(backbone, cast("Hashable", backbone.maker))
    if not sites:
        raise _no_maps(backbone)
    return replace(backbone, stages=stages, attention=Attention(cast("AttentionKind", kind), sites))


def _no_maps(backbone: Backbone) -> UsageError:
    return UsageError(
        f"`attention` goes behind feature maps [N, C, H, W], and {backbone.name}, no convolutional network, has none",
        "choose another `backbone`, or drop `attention`",
    )


# The maker is no part of a backbone's equality, and two files may make networks of one name.
@lru_cache(maxsize=32)
def _find_sites(backbone: Backbone, _maker: Hashable) -> tuple[tuple[Stage, ...], tuple[tuple[str, int], ...]]:
    """The stages, each with its site in it, and the sites with their channels."""
    model = _blueprint(backbone)
    ends = _ends(model, backbone)
    stages, sites = [], []
    for stage in backbone.stages:
        if stage.name in ends:
            path, channels = ends[stage.name]
            sites.append((path, channels))
            # An activation or pooling behind the stage's layers had no parameters so far.
            behind = () if stage.holds(f"{path}.") else (path,)
            stages.append(Stage(stage.name, (*stage.modules, *behind)))
        else:
            stages.append(stage)
    return tuple(stages), tuple(sites)


def _blueprint(backbone: Backbone) -> nn.Module:
    """The network for its shapes, on the meta device where it can be built there."""
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                return build(backbone, classes=_CLASSES).eval()
        except (RuntimeError, NotImplementedError, UsageError):
            return build(backbone, classes=_CLASSES).eval()


def _ends(model: nn.Module, backbone: Backbone) -> dict[str, tuple[str, int]]:
    """The last module of each stage that gives a map and is used once, before another stage begins; and its channels.

    A map is of more than one cell: what pooling over the whole picture leaves is none.
    """
    modules = {name: module for name, module in model.named_modules() if name}
    own = {name: _stage_of(backbone, name, module) for name, module in modules.items()}
    calls = dict.fromkeys(modules, 0)
    left: dict[str, list[tuple[str, int]]] = {}
    # The stages in the order they begin; what belongs to none works in the last.
    begun = [""]

    def enter(name: str) -> Any:
        def hook(*_: object) -> None:
            calls[name] += 1
            if own[name] not in {None, begun[-1]}:
                begun.append(cast("str", own[name]))

        return hook

    def leave(name: str) -> Any:
        def hook(_module: object, _inputs: object, output: object) -> None:
            if not isinstance(output, Tensor) or output.ndim != 4 or not output.shape[3] == output.shape[2] > 1:
                return
            if own[name] in {None, begun[-1]} and not _holds_several(backbone, name):
                left.setdefault(begun[-1], []).append((name, output.shape[1]))

        return hook

    handles: list[Any] = []
    for name, module in modules.items():
        handles.append(module.register_forward_pre_hook(enter(name)))
        if not isinstance(module, nn.modules.dropout._DropoutNd):
            handles.append(module.register_forward_hook(leave(name)))
    device = next(model.parameters()).device
    size_px = backbone.image_size_px
    try:
        with torch.no_grad():
            model(torch.zeros(2, 3, size_px, size_px, device=device))
    finally:
        for handle in handles:
            handle.remove()
    found = {stage: _site([end for end in ends if calls[end[0]] == 1], modules) for stage, ends in left.items()}
    return {stage: site for stage, site in found.items() if site is not None}


def _site(ends: list[tuple[str, int]], modules: dict[str, nn.Module]) -> tuple[str, int] | None:
    """The last of them; inside batch norm that has an activation in it, that: batch norm is to be folded away."""
    if not ends:
        return None
    path, channels = ends[-1]
    if isinstance(modules[path], nn.modules.batchnorm._BatchNorm):
        path, channels = next((end for end in reversed(ends) if end[0].startswith(f"{path}.")), ends[-1])
    assert not hasattr(modules[path], CHILD)
    return path, channels


def _stage_of(backbone: Backbone, name: str, module: nn.Module) -> str | None:
    """The stage, or the head, that holds all parameters of a module; None where none does, or it has none."""
    if _is_within(name, backbone.head):
        return backbone.head
    held = next((stage.name for stage in backbone.stages if stage.holds(f"{name}.")), None)
    names = [f"{name}.{parameter}" for parameter, _ in module.named_parameters()]
    if held is not None or not names:
        return held
    return next((stage.name for stage in backbone.stages if all(map(stage.holds, names))), None)


def _holds_several(backbone: Backbone, name: str) -> bool:
    """Whether a module is around others that are told apart: stages, or the head."""
    paths = [backbone.head, *(path for stage in backbone.stages for path in stage.modules)]
    return any(_is_within(path, name) and path != name for path in paths)


def _is_within(name: str, path: str) -> bool:
    return f"{name}.".startswith(f"{path}.")
