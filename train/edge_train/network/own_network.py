"""A network of the user's own: what a function in a module or a file makes, and what it says of itself.

The function takes the number of classes, and may take `image_size`; it gives an `nn.Module` from float32 `[N, 3, H, W]`
to `[N, classes]`. The module may have an attribute `edge`, a dictionary with some of `_KEYS`; docs/networks.md says
what each is, and what stands in its place.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from edge_runtime import CheckpointError, Preprocessing, UsageError, WeightsError, require_extra
from edge_train.network.backbones import Backbone, Stage
from edge_train.network.maker import PerChannel, Preset
from edge_train.network.own_code import (
    find_origin,
    find_unseen,
    hash_of,
    how_to_trust,
    mark_as_named,
    note_on_mark,
    said_in_one_line,
    was_named,
)
from edge_train.network.own_imports import OwnFile, load_file
from edge_train.network.user_path import user_path

if TYPE_CHECKING:
    from torch import Tensor, nn

IMAGENET_MEAN: PerChannel = (0.485, 0.456, 0.406)
IMAGENET_STD: PerChannel = (0.229, 0.224, 0.225)
IMAGE_SIZE_PX = 224
# The margin that torchvision's first presets cut off.
MARGIN = 256 / 224
FILE, SHA256 = "network_file", "network_sha256"
_KEYS = ("head", "stages", "features", "image_size", "resize", "interpolation", "mean", "std", "pretrained")
# Classes of the network that is looked into; the head's size must follow.
_CLASSES = 7


def find_own(spec: str) -> Backbone:
    """The backbone that `package.module:FUNCTION` or `FILE.py:FUNCTION` makes, once it was made and looked into.

    Raises UsageError where it cannot be made, or is no classifier.
    """
    require_extra("train")
    place, _, function = spec.rpartition(":")
    if place.endswith(".py"):
        path = user_path(place).resolve()
        if not path.is_file():
            raise UsageError(f"`backbone` {spec}: {path} does not exist", "name a Python file")
        found = _look_into(f"{path.name}:{function}", str(path), sha256 := hash_of(path), function)
    else:
        sha256 = hash_of(find_origin(place, spec))
        found = _look_into(f"{place}:{function}", "", sha256, function)
    mark_as_named(sha256)
    return found


def find_as_trained(name: str, architecture: Mapping[str, Any]) -> Backbone:
    """The backbone of a card, whose code is as it was and was named to edge on this machine before.

    The file is looked for where it was, then in the working folder. Raises CheckpointError, UsageError as `find_own`.
    """
    place, _, function = name.rpartition(":")
    file, sha256 = str(architecture.get(FILE, "")), str(architecture.get(SHA256, ""))
    paths = [path for path in (Path(file), Path.cwd() / Path(file).name) if path.is_file()] if file else []
    if file and not paths:
        raise CheckpointError(
            f"{file}, which makes this run's network, is gone", f"put it back, or a copy of it into {Path.cwd()}"
        )
    same = next((path for path in paths if hash_of(path) == sha256), None)
    if not (file and same is None) and not was_named(sha256):
        raise CheckpointError(
            f"this run's network is code in {same or place}, which was never named to edge on this machine",
            how_to_trust(f"{same or place}:{function}"),
        )
    # Nor does a package that the module lies in run before its code is known to be the same.
    if not file and (origin := find_unseen(place)) is not None and hash_of(origin) == sha256:
        same = origin
    if same is None:
        raise CheckpointError(
            f"{paths[0] if paths else place}, which makes this run's network, has changed since it was trained",
            f"put it back as it was (sha256 {sha256[:16]}), or train again",
        )
    return _look_into(name, str(same) if file else "", sha256, function)


# The hash is what tells a file from what it was before an edit.
@lru_cache(maxsize=16)
def _look_into(name: str, file: str, sha256: str, function: str) -> Backbone:
    import torch

    from edge_train.network.tracing import last_linear, traced_stages

    maker = OwnNetwork(name, file, sha256, function)
    with torch.random.fork_rng(devices=[]):
        model = maker.build(_CLASSES, None)
        said = maker.said_by(model)
        expected = _said_preset(name, said)
        size_px = expected[0].height_px
        # Dropout draws.
        traced = maker.require_answers(model, size_px, _CLASSES)
    head = said.get("head") or last_linear(model, traced)
    if head is None:
        raise UsageError(f"{name} has no nn.Linear to be its head", 'name it in `edge`: {"head": "classifier.1"}')
    stages = _said_stages(name, said["stages"]) if "stages" in said else traced_stages(model, traced, head)
    backbone = Backbone(
        name=name,
        head=head,
        stages=stages,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        gflops=traced.gmacs,
        imagenet_top1=None,
        advice="your own network",
        image_size_px=size_px,
        smallest_px=1,
        features=said.get("features") or traced.last_map(head),
        maker=replace(maker, expected=expected),
    )
    _require_whole(backbone, model)
    return backbone


@dataclass(frozen=True)
class OwnNetwork:
    """A `Maker` of what `function` makes in `file`, or in the module before the colon of `name`."""

    name: str
    file: str
    sha256: str
    function: str
    expected: Preset | None = None

    @property
    def identity(self) -> Mapping[str, str]:
        """The file and the hash of what it holds."""
        return {key: value for key, value in ((FILE, self.file), (SHA256, self.sha256)) if value}

    @property
    def versions(self) -> Mapping[str, str]:
        """None of its own."""
        return {}

    def _load(self) -> OwnFile:
        return load_file(Path(self.file), self.sha256)

    def _importing(self) -> AbstractContextManager[None]:
        """What is called within may import what lies beside the file."""
        return self._load().importing() if self.file else nullcontext()

    @property
    def note(self) -> str:
        """Where no other command will know that it was named."""
        return note_on_mark(self.sha256)

    @cached_property
    def _call(self) -> Callable[..., object]:
        place = self.name.rpartition(":")[0]
        try:
            module = self._load().module if self.file else importlib.import_module(place)
        # SystemExit: a script without a guard around its own command line.
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"`backbone` {self.name} cannot be imported: {said_in_one_line(error)}", "mend it"
            ) from error
        found = getattr(module, self.function, None)
        if not callable(found):
            names = [name for name, value in vars(module).items() if _is_own(value, module)]
            raise UsageError(
                f"`backbone` {self.name}: there is no function {self.function!r}",
                f"it has {', '.join(names) or 'none'}",
            )
        return found  # type: ignore[no-any-return]

    def build(self, classes: int, size_px: int | None) -> nn.Module:
        """What the function makes. Raises UsageError where it raises, or makes no `nn.Module`."""
        from torch import nn

        call = self._call
        sized = size_px is not None and "image_size" in _parameters(call)
        try:
            with self._importing():
                made = call(classes, image_size=size_px) if sized else call(classes)
        except Exception as error:
            raise UsageError(
                f"{self.name} made no network for {classes} classes: {said_in_one_line(error)}", "mend it"
            ) from error
        if not isinstance(made, nn.Module):
            raise UsageError(
                f"{self.name} made a {type(made).__name__}, not an nn.Module", "give what maps [N, 3, H, W] to logits"
            )
        self._settle(made, size_px)
        return made

    def _settle(self, model: nn.Module, size_px: int | None) -> None:
        """Give lazy layers, which take their size from what they are given, their weights. Raises UsageError."""
        import torch
        from torch.nn.parameter import is_lazy

        before = model.training
        # What only training reaches comes second: it changes statistics.
        for training in (False, True):
            if not any(map(is_lazy, (*model.parameters(), *model.buffers()))):
                break
            size = size_px or _said_preset(self.name, self.said_by(model))[0].height_px
            model.train(training)
            try:
                with self._importing(), torch.no_grad():
                    model(torch.zeros(2, 3, size, size))
            except Exception as error:
                raise self._refusal(size, error) from error
        else:
            if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
                raise UsageError(f"{self.name} has lazy layers that no picture reaches", "take them out")
        model.train(before)

    def _refusal(self, size_px: int, error: Exception) -> UsageError:
        return UsageError(
            f"{self.name} cannot take {size_px}×{size_px} pixels: {said_in_one_line(error)}",
            'choose another `image_size`, or say its own: edge = {"image_size": …}',
        )

    def said_by(self, model: nn.Module) -> Mapping[str, Any]:
        """The dictionary `edge` of a model it made. Raises UsageError where it is none, or a key is unknown."""
        said = getattr(model, "edge", None) or {}
        if not isinstance(said, Mapping):
            raise UsageError(
                f"{self.name}: its `edge` is a {type(said).__name__}, not a dictionary", "see docs/networks.md"
            )
        for key in said:
            if key not in _KEYS:
                raise UsageError(f"{self.name}: `edge` has an unknown key {key!r}", f"there are {', '.join(_KEYS)}")
        for key in ("head", "features"):
            if not isinstance(said.get(key, ""), str | None):
                raise UsageError(f"{self.name}: `edge` has a {key} that is no path of a module", 'as in "layers.4"')
        return said

    def require_answers(self, model: nn.Module, size_px: int, classes: int) -> Any:
        """The trace of a picture of that size through `model`. Raises UsageError where no logits come out."""
        from edge_train.network.tracing import trace

        # Training first: what it does to the statistics is of no account, an auxiliary head that answers then is.
        for training in (True, False):
            try:
                with self._importing():
                    traced = trace(model, size_px, training=training)
            except Exception as error:
                raise self._refusal(size_px, error) from error
            if traced.answer != (2, classes):
                shape = "no tensor" if traced.answer is None else f"a tensor of shape {list(traced.answer)}"
                raise UsageError(
                    f"{self.name} answers two pictures and {classes} classes with {shape}",
                    f"its forward must give logits, here [2, {classes}]",
                )
        return traced

    def preset(self) -> Preset:
        """What it says of itself; where it does not, ImageNet's mean and deviation, 224 pixels cut from 256."""
        assert self.expected is not None, "found by find_own"
        return self.expected

    def require_size(self, size_px: int, *others_px: int) -> None:
        """Raise UsageError where the network made for that size does not answer pictures of it, or of the others."""
        import torch

        with torch.random.fork_rng(devices=[]):
            model = self.build(_CLASSES, size_px)
            for each in (size_px, *others_px):
                self.require_answers(model, each, _CLASSES)

    def pretrained(self, size_px: int | None) -> tuple[Mapping[str, Tensor], str]:
        """What the function itself loads, where `edge` says that it is trained. Raises WeightsError where not."""
        model = self.build(_CLASSES, size_px)
        if not self.said_by(model).get("pretrained"):
            raise WeightsError(
                f"{self.name} says of no pretrained weights",
                "give `weights` FILE, `strategy` scratch, or say edge = {'pretrained': True} where it loads its own",
            )
        return model.state_dict(), f"as {self.name} makes it"

    def adapted(self, state: Mapping[str, Tensor], model: nn.Module) -> tuple[dict[str, Tensor], str]:  # noqa: ARG002
        """The same."""
        return dict(state), ""


def _parameters(call: Callable[..., object]) -> Mapping[str, object]:
    try:
        return inspect.signature(call).parameters
    except (TypeError, ValueError):
        return {}


def _is_own(value: object, module: ModuleType) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _said_preset(name: str, said: Mapping[str, Any]) -> Preset:
    try:
        size_px = int(said.get("image_size", IMAGE_SIZE_PX))
        expected = Preprocessing(
            resize_px=int(said.get("resize", round(size_px * MARGIN))),
            height_px=size_px,
            width_px=size_px,
            interpolation=said.get("interpolation", "bilinear"),
        )
        mean = tuple(map(float, said.get("mean", IMAGENET_MEAN)))
        std = tuple(map(float, said.get("std", IMAGENET_STD)))
    except (TypeError, ValueError, OverflowError, UsageError) as error:
        reason = error.message if isinstance(error, UsageError) else error
        raise UsageError(f"{name}: its `edge` cannot be read: {reason}", "see docs/networks.md") from error
    if len(mean) != 3 or len(std) != 3 or not all(map(math.isfinite, mean + std)) or min(std) <= 0:
        raise UsageError(f"{name}: `edge` has mean {mean} and std {std}", "give three numbers each, std above 0")
    return expected, mean, std


def _said_stages(name: str, said: object) -> tuple[Stage, ...]:
    stages = {str(stage): [paths] if isinstance(paths, str) else paths for stage, paths in _items(said)}
    for paths in stages.values():
        if not isinstance(paths, list | tuple) or not all(isinstance(path, str) for path in paths):
            stages = {}
            break
    if not stages:
        raise UsageError(
            f"{name}: `edge` has `stages` that are no dictionary of module paths",
            'as in {"stem": ["conv1"], "body": ["layers"]}',
        )
    return tuple(Stage(stage, tuple(paths)) for stage, paths in stages.items())


def _items(said: object) -> list[tuple[object, Any]]:
    return list(said.items()) if isinstance(said, Mapping) else []


def _require_whole(backbone: Backbone, model: nn.Module) -> None:
    """Raise UsageError where stages and head do not hold each parameter once, or name what is not there."""
    from edge_train.network.tracing import missing_paths

    paths = [backbone.head, *(path for stage in backbone.stages for path in stage.modules)]
    if backbone.features is not None:
        paths.append(backbone.features)
    if missing := missing_paths(model, paths):
        raise UsageError(
            f"{backbone.name} has no {missing[0]!r}, which its `edge` names", "name modules of the network"
        )
    head = model.get_submodule(backbone.head)
    # What takes its place, or leaves its weights out, would leave it in the other.
    if len(names := [name for name, each in model.named_modules(remove_duplicate=False) if each is head]) > 1:
        raise UsageError(
            f"{backbone.name}: its head is one layer under {len(names)} names, {' and '.join(names)}",
            "keep it under one of them",
        )
    for name, _ in model.named_parameters():
        in_head = name.startswith(f"{backbone.head}.")
        holders = ["head"] * in_head + [stage.name for stage in backbone.stages if stage.holds(name)]
        if len(holders) != 1:
            where = f"in {' and '.join(holders)}" if holders else "in no stage"
            raise UsageError(
                f"{backbone.name}: the parameter {name} is {where}", "stages and head must hold every parameter once"
            )
    if not backbone.stages:
        raise UsageError(f"{backbone.name} has no parameters before its head", "name its head in `edge`")
