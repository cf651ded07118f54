"""What a network that nobody described says of itself when a picture goes through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edge_train.network.backbones import Stage

# Fewer stages than this leave nothing to freeze, or to give a rate of its own.
LEAST_STAGES = 3


@dataclass(frozen=True, slots=True)
class Trace:
    """One pass of two pictures: modules by name as they were entered, and those that gave a map `[N, C, H, W]` of more
    than one cell as they were left, where no tokens came after. `answer` is the shape of what came out, None where
    that is no tensor.
    """

    entered: tuple[str, ...]
    maps: tuple[str, ...]
    answer: tuple[int, ...] | None
    gmacs: float

    def last_map(self, head: str) -> str | None:
        """The last layer outside the head that gave a feature map."""
        return next((name for name in reversed(self.maps) if not f"{name}.".startswith(f"{head}.")), None)


def trace(model: nn.Module, size_px: int, *, training: bool = False) -> Trace:
    """Send two empty pictures through the model, on the device it is on; the meta device computes shapes alone.

    In training mode batch norm's statistics change. Raises whatever the model raises.
    """
    entered: list[str] = []
    left: list[str] = []

    def leave(name: str) -> Any:
        def hook(module: nn.Module, _inputs: object, output: object) -> None:
            if not isinstance(output, Tensor):
                return
            if output.ndim == 4 and output.shape[0] == 2 and output.shape[2] == output.shape[3]:
                if output.shape[2] > 1:
                    left.append(name)
            elif output.ndim > 2 and list(module.parameters(recurse=False)):
                # Tokens, or a map of [N, H, W, C]: no map before them is the last.
                left.clear()

        return hook

    handles: list[Any] = []
    for name, module in model.named_modules():
        if name:
            handles.append(module.register_forward_pre_hook(lambda _m, _i, name=name: entered.append(name)))
            handles.append(module.register_forward_hook(leave(name)))
    model.train(training)
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad(), _fixed(model), FlopCounterMode(display=False) as flops:
            answer = model(torch.zeros(2, 3, size_px, size_px, device=device))
    finally:
        for handle in handles:
            handle.remove()
    shape = tuple(answer.shape) if isinstance(answer, Tensor) else None
    return Trace(tuple(dict.fromkeys(entered)), tuple(left), shape, flops.get_total_flops() / 4e9)


@contextmanager
def _fixed(model: nn.Module) -> Iterator[None]:
    """No parameter learns: the counter's hooks fail where a layer is given a view of one that does (a class token)."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def last_linear(model: nn.Module, traced: Trace) -> str | None:
    """The linear layer that was entered last."""
    modules = dict(model.named_modules())
    return next((name for name in reversed(traced.entered) if isinstance(modules[name], nn.Linear)), None)


def traced_stages(model: nn.Module, traced: Trace, head: str) -> tuple[Stage, ...]:
    """The model's children as stages, in the order that a picture meets them; what lies after the last belongs to it.

    Where they are few, the largest is taken apart, as in a model of `features` and `classifier`; one that only scales
    and shifts belongs to the one before it.
    """
    own = {name: parameter for name, parameter in model.named_parameters() if not _within(name, head)}
    sizes = {name: parameter.numel() for name, parameter in own.items()}
    paths = list(dict.fromkeys(name.partition(".")[0] for name in sizes))
    while len(paths) < LEAST_STAGES:
        weight = {path: sum(n for name, n in sizes.items() if _within(name, path)) for path in paths}
        for largest in sorted(paths, key=weight.__getitem__, reverse=True):
            inner = [
                name.removeprefix(f"{largest}.").partition(".") for name in sizes if name.startswith(f"{largest}.")
            ]
            # A layer is not taken apart into its weight and its bias.
            children = list(dict.fromkeys(f"{largest}.{child}" for child, dot, _ in inner if dot))
            if children and len(children) == len({child for child, _, _ in inner}):
                break
        else:
            break
        place = paths.index(largest)
        paths[place : place + 1] = children
    met = {name: place for place, name in enumerate(traced.entered)}
    # A bare parameter is met with the whole model, at the beginning.
    paths.sort(key=lambda path: met.get(path, min((at for name, at in met.items() if _within(name, path)), default=-1)))
    groups: dict[str, int] = {}
    stage = 0
    for path in paths:
        inside = [name for name in own if _within(name, path)]
        stage += bool(groups) and any(own[name].ndim > 1 for name in inside)
        groups.update(dict.fromkeys(inside, stage))
    return grouped_stages({name: groups[name] for name in own}, head)


def grouped_stages(groups: Mapping[str, int], head: str) -> tuple[Stage, ...]:
    """Stages of a number for every parameter but the head's: each as few modules as hold its parameters and no others.

    The first is called stem, the others as their first module.
    """
    held: dict[int, list[str]] = {}
    for path, group in _whole({**groups, head: -1}, ""):
        if group >= 0:
            held.setdefault(group, []).append(path)
    names = ["stem", *(held[group][0] for group in sorted(held)[1:])]
    return tuple(Stage(name, tuple(held[group])) for name, group in zip(names, sorted(held), strict=True))


def _whole(groups: Mapping[str, int], prefix: str) -> Iterator[tuple[str, int]]:
    """The longest paths whose parameters are all of one group, in the order given."""
    below: dict[str, dict[str, int]] = {}
    for name, group in groups.items():
        below.setdefault(prefix + name.removeprefix(prefix).partition(".")[0], {})[name] = group
    for path, inside in below.items():
        if len(set(inside.values())) == 1:
            yield path, next(iter(inside.values()))
        else:
            yield from _whole(inside, f"{path}.")


def _within(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}.")


def missing_paths(model: nn.Module, paths: Sequence[str]) -> list[str]:
    """Those of `paths` that are neither a module nor a parameter of the model."""
    known = {name for name, _ in model.named_modules()} | {name for name, _ in model.named_parameters()}
    return [path for path in paths if path not in known]
