"""Pretrained weights: from torchvision's hub, its cache, or a file, into everything but the head."""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from edge_data import OnBytes, download, promised_hash
from edge_runtime import UsageError, WeightsError
from edge_train.network.attention import is_of_attention
from edge_train.network.backbones import BACKBONES, Backbone
from edge_train.network.building import build

WeightsChoice: TypeAlias = Literal["default", "none"] | Path

State: TypeAlias = dict[str, Tensor]

# Old DenseNet files, torchvision's own among them, say `norm.1` where the modules are called `norm1`.
_OLD_DENSENET_KEY = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
# What DataParallel, torch.compile, Lightning, `edge` itself and others put before the names.
_PREFIXES = ("module.", "_orig_mod.", "network.", "model.", "backbone.")
_WRAPPERS = ("network", "model", "state_dict", "model_state_dict")


def parse_weights(text: str) -> WeightsChoice:
    """`default`, `none`, or the path of a file (`./none` for a file of that name)."""
    match text.strip().lower():
        case "":
            raise UsageError("the weights are named by an empty text", "give default, none or a file")
        case "default":
            return "default"
        case "none":
            return "none"
    return Path(text).expanduser()


def load_pretrained(
    model: nn.Module,
    backbone: Backbone,
    choice: Literal["default"] | Path,
    *,
    size_px: int | None = None,
    progress: OnBytes | None = None,
) -> str:
    """Load everything but the head into a model that `build` made; returns where the weights came from.

    A file holds a state dict under the backbone's own names (float16 and bfloat16 are widened), bare or as
    `state_dict` or `model` of a checkpoint, `edge`'s own included. `size_px` is what the model was built for. On an
    error the model is unchanged.

    Raises:
        UsageError: the file is not there.
        WeightsError: the weights cannot be downloaded, read or fitted.
    """
    if choice == "default" and backbone.maker is not None:
        made, origin = backbone.maker.pretrained(size_px)
        _fit(model, backbone, _uncounted(made), Path(backbone.name))
        return origin
    if choice == "default":
        path, origin = _from_hub(backbone, progress)
    else:
        path = choice
        _require_file(path)
        origin = f"file {path.name} (sha256 {_sha256(path)[:16]})"
    state = _state(_read(path), path, frozenset(model.state_dict()))
    if backbone.maker is not None:
        state, how = backbone.maker.adapted(state, model)
        origin += f"; {how}" if how else ""
    _fit(model, backbone, state, path)
    return origin


def _fit(model: nn.Module, backbone: Backbone, state: State, path: Path) -> None:
    head = f"{backbone.head}."
    target = {key: t for key, t in _uncounted(model.state_dict()).items() if not key.startswith(head)}
    if not any(map(is_of_attention, state)):
        # Weights of the backbone as published: what was added begins as the identity.
        target = {key: tensor for key, tensor in target.items() if not is_of_attention(key)}
    body = {key: tensor for key, tensor in state.items() if not key.startswith(head)}
    missing = [key for key in target if key not in body]
    unexpected = [key for key in body if key not in target]
    misshaped = [
        f"{key} {_form(body[key])} instead of {_form(tensor)}"
        for key, tensor in target.items()
        if key in body and _form(body[key]) != _form(tensor)
    ]
    if missing or unexpected or misshaped:
        found = [
            *_list("missing", missing),
            *_list("unexpected", unexpected),
            *_list("of another shape or type", misshaped),
        ]
        message = f"{path} does not fit {backbone.name}: {'; '.join(found)}"
        if any(map(is_of_attention, (*missing, *unexpected))):
            raise WeightsError(message, "where they are of a network with attention, give its `attention`")
        raise WeightsError(message, _guess(state, backbone))
    for key, tensor in body.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{path} holds NaN or infinite values in {key}", "take an undamaged copy")
    with torch.no_grad():
        for key, tensor in body.items():
            target[key].copy_(tensor)


def _form(tensor: Tensor) -> str:
    # Precisions of one kind convert into each other; integers in place of floats are quantized weights.
    kind = "" if tensor.is_floating_point() else f" {tensor.dtype}".replace("torch.", "")
    return f"[{', '.join(map(str, tensor.shape))}]{kind}"


def _list(what: str, keys: list[str], most: int = 3) -> list[str]:
    if not keys:
        return []
    rest = ", …" if len(keys) > most else ""
    return [f"{len(keys)} {what} ({', '.join(keys[:most])}{rest})"]


def _guess(state: State, asked: Backbone) -> str:
    def body(state: State, backbone: Backbone) -> set[tuple[str, str]]:
        return {(key, _form(t)) for key, t in state.items() if not key.startswith(f"{backbone.head}.")}

    likeness: dict[str, float] = {}
    for backbone in BACKBONES.values():
        known, have = body(_blueprint(backbone), backbone), body(state, backbone)
        likeness[backbone.name] = len(known & have) / len(known | have)
    best = max(likeness, key=likeness.__getitem__)
    if likeness[best] < 0.5:
        return "these are not the weights of any backbone that edge knows"
    if best == asked.name:
        return f"a damaged or modified {best}? take torchvision's own state dict"
    if likeness[best] < 0.9:
        return f"the nearest backbone is {best}, which it does not fit either"
    return f"these look like the weights of {best}: use `backbone` {best}"


def _blueprint(backbone: Backbone) -> State:
    """The tensors a backbone has, for their names and shapes alone."""
    try:
        with torch.device("meta"):
            return _uncounted(build(backbone, classes=2).state_dict())
    except RuntimeError:
        # RegNet works out its widths with tensors, which the meta device does not compute.
        return _uncounted(build(backbone, classes=2).state_dict())


def _read(path: Path) -> object:
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    try:
        with warnings.catch_warnings():
            # Those about pickle protocols and TorchScript archives precede errors that say it properly.
            warnings.simplefilter("ignore")
            loaded: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged archive or pickle raises whatever it happens to trip over, OSError for one cut short included.
        raise WeightsError(*_why_unreadable(path, error)) from None
    return loaded


def _why_unreadable(path: Path, error: Exception) -> tuple[str, str]:
    text = str(error)
    if "TorchScript" in text:
        return f"{path} is a TorchScript program, not a state dict", "save the model's state_dict() instead"
    code = re.search(r"GLOBAL '?([\w.]+)", text)
    if isinstance(error, pickle.UnpicklingError) and code:
        return (
            f"{path} is not a plain state dict: it holds Python objects ({code[1]}), which could run code",
            "where you trust its source, load it with torch and save its state_dict()",
        )
    return f"{path} is damaged or not a PyTorch file", "give a state dict saved with torch.save"


def _read_safetensors(path: Path) -> object:
    try:
        safetensors = import_module("safetensors.torch")
    except ModuleNotFoundError:
        raise UsageError(
            f"reading {path} needs safetensors, which is not installed", "pip install safetensors"
        ) from None
    try:
        loaded: object = safetensors.load_file(path, device="cpu")
    except Exception as error:
        raise WeightsError(f"{path} is damaged or not a safetensors file: {error}") from None
    return loaded


def _state(loaded: object, path: Path, own: frozenset[str]) -> State:
    """The tensors of a state dict under torchvision's names, or those of a network that has them as `own`."""
    for wrapper in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    items = loaded.items() if isinstance(loaded, Mapping) else ()
    state = {key: value for key, value in items if isinstance(key, str) and isinstance(value, Tensor)}
    if not state:
        raise WeightsError(f"{path} holds no state dict", "give what torch.save(model.state_dict()) writes")
    odd = [key for key, value in state.items() if value.is_quantized or value.layout != torch.strided]
    if odd:
        raise WeightsError(f"{path} holds quantized or sparse tensors ({odd[0]})", "give the float weights")
    for _ in _PREFIXES:
        for prefix in _PREFIXES:
            # A network may well call a part of its own `backbone`.
            known = 2 * sum(key in own for key in state) > len(state)
            if not known and 2 * sum(key.startswith(prefix) for key in state) > len(state):
                # What lies beside the prefixed names belongs to the wrapper: a loss, normalisation constants.
                state = {key.removeprefix(prefix): t for key, t in state.items() if key.startswith(prefix)}
    return {
        _OLD_DENSENET_KEY.sub(r"\1\2", key): tensor.float() if tensor.is_floating_point() else tensor
        for key, tensor in _uncounted(state).items()
    }


def _uncounted(state: Mapping[str, Tensor]) -> State:
    # Files from before PyTorch 0.4.1 lack these counters, which nothing reads once momentum is fixed.
    return {key: tensor for key, tensor in state.items() if not key.endswith("num_batches_tracked")}


def _require_file(path: Path) -> None:
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except OSError as error:
        raise UsageError(f"{path} cannot be opened: {error.strerror}") from None
    if not is_file:
        what = "is a folder, not a weights file" if is_folder else "does not exist"
        raise UsageError(f"{path} {what}", "give `weights` default, none or the path of a state dict")


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from None


def _from_hub(backbone: Backbone, progress: OnBytes | None) -> tuple[Path, str]:
    from torchvision import models

    weights = models.get_model_weights(backbone.name).DEFAULT
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    if not (cached.is_file() and _sha256(cached).startswith(promised_hash(cached.name))):
        download(weights.url, cached, ways_out=_ways_out(cached), progress=progress)
    return cached, f"torchvision {weights}"


def _ways_out(target: Path) -> str:
    return (
        f"download it elsewhere and pass `weights` FILE, or put it at {target}, or train without it: `strategy` scratch"
    )
