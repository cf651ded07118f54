"""The network that a run starts from, the same in all its processes, and the strategy that its weights allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch

from edge_runtime import EdgeError, Progress, UsageError, WeightsError
from edge_train.network.backbones import Backbone
from edge_train.network.building import build, preset
from edge_train.network.network import Network
from edge_train.network.pruned_weights import narrow_as_weights
from edge_train.network.weights import load_pretrained, parse_weights, read_normalization
from edge_train.run.download_progress import downloading
from edge_train.run.processes import World
from edge_train.settings import Strategy, TrainSettings
from edge_train.strategy.choice import choose_strategy

_ON_ALL = "put the same weights on all machines, or train without: `strategy` scratch"

Start: TypeAlias = tuple[Strategy, Network, str, float | None]


def start_alike(world: World, name: str, load: Callable[[], Start]) -> Start:
    """What `load` gives each process of `world`, with the weights that it gives the first; `name` is the backbone's.

    Raises:
        EdgeError: as `load` does, where it does so in all of them.
        UsageError: the processes do not come to the same.
    """
    start: Start | None = None
    failed: EdgeError | None = None
    try:
        start = load()
    except EdgeError as error:
        failed = error
    _require_alike(world.collect(_Found.of(start, failed)), name)
    if start is None:
        assert failed is not None
        raise failed
    world.share(start[1])
    return start


def load_start(  # noqa: PLR0917 (what a strategy is chosen by)
    settings: TrainSettings,
    backbone: Backbone,
    classes: int,
    images: int,
    size_px: int,
    device: torch.device,
    progress: Progress,
) -> Start:
    """The network to start from, with the strategy that `auto` comes to and where its weights are from.

    Last comes the share of the channels that it lacks, as it begins with a pruned run. Raises WeightsError where
    weights that were asked for cannot be had.
    """
    _, mean, std = preset(backbone)
    made = build(
        backbone,
        classes=classes,
        dropout=settings.dropout,
        stem=settings.stem,
        hidden_units=settings.hidden_units,
        size_px=size_px,
    )
    network = Network(made, mean, std)
    choice = parse_weights(settings.weights)
    origin, taken = "none", None
    if settings.strategy != "scratch" and settings.stem == "standard" and choice != "none":
        taken = narrow_as_weights(network.backbone, backbone, choice)
        try:
            origin = load_pretrained(
                network.backbone, backbone, choice, size_px=size_px, progress=downloading(progress)
            )
        except WeightsError as error:
            if settings.strategy != "auto" or choice != "default":
                raise
            progress.say(f"note: {error.message}; `weights` FILE brings your own")
        if (own := read_normalization(settings.weights)) is not None:
            network.normalize_by(*own)
        if taken is not None:
            origin += f", without {taken:.0%} of the channels"
    if settings.strategy == "auto":
        strategy, why = choose_strategy(
            settings, backbone, images=images, size_px=size_px, device=device, pretrained=origin != "none"
        )
        why = f"auto: {why}"
    else:
        strategy, why = settings.strategy, "as asked"
    attention = f" with {backbone.attention.kind} attention" if backbone.attention is not None else ""
    progress.say(f"strategy {strategy} ({why}); backbone {backbone.name}{attention}; weights: {origin}")
    return strategy, network, origin, taken


@dataclass(frozen=True, slots=True)
class _Found:
    """What one process came to, as the others must have: `error` is what it says where it came to nothing."""

    strategy: str = ""
    pretrained: bool = False
    shapes: tuple[tuple[int, ...], ...] = ()
    error: str = ""

    @classmethod
    def of(cls, start: Start | None, failed: EdgeError | None) -> _Found:
        if start is None:
            return cls(error=failed.message if failed is not None else "")
        strategy, network, origin, _ = start
        shapes = tuple(tuple(tensor.shape) for tensor in network.state_dict().values())
        return cls(strategy, origin != "none", shapes)


def _require_alike(found: list[_Found], name: str) -> None:
    """Raise UsageError where processes came to different things; where all failed, each has its own error."""
    first = found[0]
    failed = [rank for rank, each in enumerate(found) if each.error]
    if len(failed) == len(found):
        return
    if failed:
        raise UsageError(f"process {failed[0]} of {len(found)}: {found[failed[0]].error}", _ON_ALL)
    other = next((rank for rank, each in enumerate(found) if each != first), None)
    if other is None:
        return
    if first.pretrained != found[other].pretrained:
        lacks, has = (other, 0) if first.pretrained else (0, other)
        raise UsageError(f"process {lacks} has no weights for {name}, and process {has} has some", _ON_ALL)
    if first.strategy != found[other].strategy:
        raise UsageError(
            f"process 0 would train by {first.strategy}, process {other} by {found[other].strategy}",
            "name a `strategy`",
        )
    raise UsageError(
        f"the weights for {name} of process {other} are another network's than those of process 0", _ON_ALL
    )
