"""A classifier of the package timm: `timm:NAME`, with timm's own preprocessing, stages, head and weights.

timm builds on the meta device, which computes shapes alone, so that looking into a network costs no memory for it.
"""

from __future__ import annotations

import difflib
import importlib
import math
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse
from urllib.request import getproxies

import torch
from torch import nn

from edge_runtime import MissingExtraError, Preprocessing, UsageError, WeightsError, package_version
from edge_train.network.backbones import Backbone, Stage
from edge_train.network.hub_weights import quiet_hub
from edge_train.network.maker import Preset
from edge_train.network.tracing import Trace, grouped_stages, trace, traced_stages
from edge_train.network.weights_folder import find_weights, require_undamaged

if TYPE_CHECKING:
    from torch import Tensor

_CLASSES = 1000
# Layers that timm counts to no block: those behind the last one, the head among them.
_POSITION = "pos_embed"


def _timm() -> Any:
    try:
        with quiet_hub():
            return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise MissingExtraError("timm", error.name or "timm") from None


@lru_cache(maxsize=16)
def find_in_timm(name: str) -> Backbone:
    """The backbone `timm:NAME`; NAME may have a tag that says which weights, as `resnet18.a1_in1k` does.

    Raises:
        UsageError: timm has no such network, or it is no classifier of pictures with one head.
        MissingExtraError: timm is not installed.
    """
    timm = _timm()
    name = name.strip()
    base, _, tag = name.partition(".")
    if not timm.is_model(base):
        raise UsageError(f"timm {timm.__version__} has no network {base!r}", _near(base, timm.list_models()))
    if tag and name not in (tagged := timm.list_pretrained(f"{base}.*")):
        raise UsageError(f"timm has no weights {tag!r} of {base}", f"there are {', '.join(tagged) or 'none'}")
    maker = TimmNetwork(name)
    model = maker.blueprint(_CLASSES, None)
    maker = replace(maker, expected=_expected(name, model))
    size_px = maker.preset()[0].height_px
    traced = maker.traced(model, size_px)
    head = _head(name, model)
    if traced.answer != (2, _CLASSES):
        raise UsageError(f"timm:{name} is no classifier that answers with one number a class", "choose another")
    return Backbone(
        name=f"timm:{name}",
        head=head,
        stages=_stages(model, traced, head),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        gflops=traced.gmacs,
        imagenet_top1=None,
        advice="a network of timm",
        image_size_px=size_px,
        smallest_px=1,
        features=traced.last_map(head),
        maker=maker,
    )


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3) or [each for each in known if each.startswith(name)][:3]
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    return f"{guess}timm.list_models() lists all {len(known):,}"


@dataclass(frozen=True, slots=True)
class TimmNetwork:
    """A `Maker` of timm's network `name`, without the prefix; `expected` is its preset."""

    name: str
    expected: Preset | None = None

    @property
    def identity(self) -> Mapping[str, str]:
        """None but the name."""
        return {}

    @property
    def versions(self) -> Mapping[str, str]:
        """timm's, whose networks change now and then."""
        return {"timm": package_version("timm") or "unknown"}

    @property
    def note(self) -> str:
        """Nothing."""
        return ""

    def build(self, classes: int, size_px: int | None) -> nn.Module:
        """The network with timm's first weights; one made for a fixed size is made for `size_px`."""
        made = self._create(classes, size_px, pretrained=False)
        head = _classifier(made)
        if isinstance(head, nn.Linear):
            # As reset_classifier leaves it: an EfficientNet's first weights grow as classes become few, and with two
            # of them a frozen backbone's head was still at 57 % where it now reaches 95.
            head.reset_parameters()
        return made

    def _create(
        self, classes: int, size_px: int | None, *, pretrained: bool, overlay: Mapping[str, str] | None = None
    ) -> nn.Module:
        own = self.expected and self.expected[0].height_px
        sized = {} if size_px in (None, own) or not self._is_fixed() else {"img_size": size_px}
        try:
            made: nn.Module = _timm().create_model(
                self.name, pretrained=pretrained, num_classes=classes, pretrained_cfg_overlay=overlay, **sized
            )
        except (TypeError, ValueError, AssertionError) as error:
            if not sized:
                raise
            raise self._wrong_size(size_px, error) from error
        return made

    def _is_fixed(self) -> bool:
        """Whether its layers are made for one size of picture."""
        return bool(getattr(_timm().get_pretrained_cfg(self.name), "fixed_input_size", False))

    def _wrong_size(self, size_px: int | None, error: Exception) -> UsageError:
        own = self.preset()[0].height_px
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        return UsageError(
            f"timm:{self.name} cannot take {size_px}×{size_px} pixels: {reason}", f"its own size is `image_size` {own}"
        )

    def blueprint(self, classes: int, size_px: int | None) -> nn.Module:
        """The network for its shapes and names alone, on the meta device where it can be built there."""
        with torch.random.fork_rng(devices=[]):
            try:
                with torch.device("meta"):
                    return self.build(classes, size_px)
            except (RuntimeError, NotImplementedError):
                return self.build(classes, size_px)

    def traced(self, model: nn.Module, size_px: int) -> Trace:
        """The way of a picture through a blueprint. Raises UsageError for a size it cannot take."""
        try:
            # Training first: batch norm refuses there what is a single pixel to it.
            trace(model, size_px, training=True)
            return trace(model, size_px)
        except (RuntimeError, ValueError, AssertionError, TypeError, NotImplementedError) as error:
            raise self._wrong_size(size_px, error) from error

    def preset(self) -> Preset:
        """By timm's `pretrained_cfg`."""
        assert self.expected is not None, "found by find_in_timm"
        return self.expected

    def require_size(self, size_px: int, *others_px: int) -> None:
        """Raise UsageError where the layers of one made for that size do not take pictures of it, or of the others."""
        model = self.blueprint(2, size_px)
        for each in (size_px, *others_px):
            self.traced(model, each)

    def pretrained(self, size_px: int | None) -> tuple[Mapping[str, Tensor], str]:
        """timm's own weights, from its cache or the hub. Raises WeightsError."""
        config = _timm().get_pretrained_cfg(self.name)
        if config is None or not config.has_weights:
            raise WeightsError(f"timm has no weights of {self.name}", "give `weights` FILE, or `strategy` scratch")
        file = _cached(config)
        try:
            if file is None:
                _require_network()
            overlay = {} if file is None else {"file": file}
            model = self._create(_CLASSES, size_px, pretrained=True, overlay=overlay)
        except UsageError:
            raise
        except Exception as error:  # what a download, a damaged cache and a hub each raise is their own
            reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            raise WeightsError(
                f"timm's weights of {self.name} cannot be had: {reason}",
                f"download {config.hf_hub_id or config.url} elsewhere and pass `weights` FILE, or train without: "
                "`strategy` scratch",
            ) from error
        terms = f", {config.license}" if config.license else ""
        return model.state_dict(), f"timm {config.architecture}{f'.{config.tag}' if config.tag else ''}{terms}"

    def adapted(self, state: Mapping[str, Tensor], model: nn.Module) -> tuple[dict[str, Tensor], str]:
        """The state dict with position embeddings resampled to the model's grid, where they are of another."""
        state = dict(state)
        position, own = state.get(_POSITION), model.state_dict().get(_POSITION)
        grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
        if position is None or own is None or grid is None or position.shape == own.shape or position.ndim != 3:
            return state, ""
        prefix = own.shape[1] - grid[0] * grid[1]
        side = math.isqrt(position.shape[1] - prefix) if position.shape[1] > prefix >= 0 else 0
        if side * side != position.shape[1] - prefix or position.shape[2] != own.shape[2]:
            return state, ""
        layers = importlib.import_module("timm.layers")
        state[_POSITION] = layers.resample_abs_pos_embed(position, list(grid), num_prefix_tokens=prefix)
        return state, f"position embedding interpolated from {side}×{side} to {grid[0]}×{grid[1]} patches"


def find_weights_here(name: str) -> tuple[Path | None, str]:
    """The file of timm's weights of a network on this machine, None for none, and what it would be called."""
    config = _timm().get_pretrained_cfg(name)
    repository = getattr(config, "hf_hub_id", None)
    if not repository:
        return None, f"a file of timm's weights of {name}, of which it knows none,"
    found = _cached(config)
    return None if found is None else Path(found), f"{repository}/model.safetensors"


def _cached(config: Any) -> str | None:
    """The file of timm's weights in EDGE_WEIGHTS_DIR, or that the hub's client has kept, which needs no network."""
    if not config.hf_hub_id:
        return None
    hub = importlib.import_module("huggingface_hub")
    names = [config.hf_hub_filename] if config.hf_hub_filename else ["model.safetensors", "pytorch_model.bin"]
    if (own := find_weights([f"{config.hf_hub_id}/{name}" for name in names])) is not None:
        require_undamaged(own)
        return str(own)
    found = (hub.try_to_load_from_cache(config.hf_hub_id, name) for name in names)
    return next((path for path in found if isinstance(path, str)), None)


def _require_network() -> None:
    """Raise OSError where the hub's name is not known here: its client would try for a minute to find that out."""
    endpoint = importlib.import_module("huggingface_hub.constants").ENDPOINT
    if not getproxies():
        socket.getaddrinfo(urlparse(endpoint).hostname, 443)


def _expected(name: str, model: nn.Module) -> Preset:
    config = importlib.import_module("timm.data").resolve_model_data_config(model)
    channels, height, width = config["input_size"]
    if channels != 3 or height != width:
        raise UsageError(f"timm:{name} takes {width}×{height} pixels of {channels} channels", "choose another")
    expected = Preprocessing(
        # As timm's own evaluation cuts it.
        resize_px=math.floor(height / config["crop_pct"]),
        height_px=height,
        width_px=width,
        interpolation="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
    )
    return expected, tuple(config["mean"]), tuple(config["std"])


def _classifier(model: nn.Module) -> Any:
    return getattr(model, "get_classifier", lambda: None)()


def _head(name: str, model: nn.Module) -> str:
    found = _classifier(model)
    if isinstance(found, (tuple, list)):
        raise UsageError(f"timm:{name} has {len(found)} heads (distilled); one can be trained", "choose another")
    paths: list[str] = [path for path, module in model.named_modules() if module is found and path]
    if not paths:
        raise UsageError(f"timm:{name} has no head to replace: it is no classifier", "choose another")
    return paths[0]


def _stages(model: Any, traced: Trace, head: str) -> tuple[Stage, ...]:
    """timm's own groups of layers; what it counts to the head but is not goes with the last of them."""
    try:
        group_parameters = importlib.import_module("timm.models").group_parameters
        found: dict[str, int] = group_parameters(model, model.group_matcher(coarse=True), reverse=True)
    except (AttributeError, AssertionError, TypeError):
        found = {}
    own = {name: group for name, group in found.items() if not name.startswith(f"{head}.")}
    last = max((group for name, group in found.items() if name.startswith(f"{head}.")), default=0)
    body = sorted({group for group in own.values() if group < last})
    if len(body) < 2 or {name for name, _ in model.named_parameters()} != set(found):
        return traced_stages(model, traced, head)
    return grouped_stages({name: min(group, body[-1]) for name, group in own.items()}, head)
