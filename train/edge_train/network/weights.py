"""Pretrained weights: from torchvision's hub, its cache, or a file, into everything but the head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import nn

from edge_data import OnBytes, download, promised_hash
from edge_runtime import UsageError, WeightsError
from edge_train.network.attention import is_of_attention
from edge_train.network.backbones import Backbone
from edge_train.network.hub_weights import HubFile, fetch, parse_hub_file
from edge_train.network.state_file import read_state_file, require_file, sha256_of
from edge_train.network.state_fit import copy_into, guess_backbone, misfits
from edge_train.network.state_names import FoundState, State, find_state, named_as, uncounted
from edge_train.network.user_path import user_path
from edge_train.network.weights_folder import (
    FOLDER_VARIABLE,
    find_weights,
    hub_cache,
    names_of,
    require_undamaged,
    torchvision_weights,
)

WeightsChoice: TypeAlias = Literal["default", "none"] | Path | HubFile

_CHOOSE = "give `weights` default, none, the path of a state dict, or hf:OWNER/NAME"


def parse_weights(text: str) -> WeightsChoice:
    """`default`, `none`, `hf:OWNER/NAME[@REVISION][:FILE]`, or the path of a file (`./none` for one of that name).

    Raises UsageError for an empty text, and for one that begins with `hf:` and names no safetensors file of a hub.
    """
    match text.strip().lower():
        case "":
            raise UsageError("the weights are named by an empty text", "give default, none or a file")
        case "default":
            return "default"
        case "none":
            return "none"
    return parse_hub_file(text.strip()) or user_path(text)


def find_again_from_anywhere(text: str) -> str:
    """What config.json keeps of `weights`: it must be found from any folder; a run stands for its best checkpoint."""
    choice = parse_weights(text)
    if not isinstance(choice, Path) or not choice.exists():
        return text
    best = choice / "best.pt"
    return str((best if best.is_file() else choice).resolve())


def load_pretrained(
    model: nn.Module,
    backbone: Backbone,
    choice: Literal["default"] | Path | HubFile,
    *,
    size_px: int | None = None,
    progress: OnBytes | None = None,
) -> str:
    """Load everything but the head into a model that `build` made; returns where the weights came from.

    A file holds a state dict under the backbone's own names (float16 and bfloat16 are widened), bare or in a checkpoint
    of `edge` or another training script, whatever that puts before the names; of one with a moving average, that is
    taken. `size_px` is what the model was built for. On an error the model is unchanged.

    Raises:
        UsageError: the file is not there, or `hf:` names no safetensors.
        WeightsError: the weights cannot be downloaded, read or fitted.
    """
    if choice == "default" and backbone.maker is not None:
        made, origin = backbone.maker.pretrained(size_px)
        _fit(model, backbone, uncounted(made), Path(backbone.name))
        return origin
    path, origin = _find(backbone, choice, progress)
    found = find_state(read_state_file(path), path)
    state: State = named_as(model, found.tensors, path).tensors
    origin += f"; {found.how}" if found.how else ""
    if found.averaged:
        origin += "; the moving average"
    if backbone.maker is not None:
        state, how = backbone.maker.adapted(state, model)
        origin += f"; {how}" if how else ""
    _fit(model, backbone, state, path)
    return origin


def _find(
    backbone: Backbone, choice: Literal["default"] | Path | HubFile, progress: OnBytes | None
) -> tuple[Path, str]:
    """The file, and where it comes from."""
    if isinstance(choice, HubFile):
        return fetch(choice)
    if choice == "default":
        return _from_hub(backbone, progress)
    require_file(choice, _CHOOSE)
    return choice, f"file {choice.name} (sha256 {sha256_of(choice)[:16]})"


def read_normalization(text: str) -> tuple[list[float], list[float]] | None:
    """Mean and standard deviation that a run was trained with, where `weights` names its checkpoint; else None.

    Its backbone may have learned with others than the preset's. Raises WeightsError where a file cannot be read.
    """
    choice = parse_weights(text)
    if not isinstance(choice, Path) or (loaded := read_own(choice)) is None:
        return None
    found: FoundState = find_state(loaded, choice)
    mean, std = (found.tensors.get(name, torch.zeros(0)).flatten().tolist() for name in ("mean", "std"))
    return (mean, std) if len(mean) == len(std) == 3 else None


def read_own(path: Path) -> Mapping[str, object] | None:
    """What a checkpoint of `edge` holds, whatever the file is called; None where it is none of those, or not there.

    Raises WeightsError where a file cannot be read.
    """
    # edge writes no safetensors.
    if path.suffix.lower() == ".safetensors" or not path.is_file():
        return None
    loaded = read_state_file(path)
    return loaded if isinstance(loaded, Mapping) and "edge_checkpoint" in loaded else None


def _fit(model: nn.Module, backbone: Backbone, state: State, path: Path) -> None:
    head = f"{backbone.head}."
    target = {key: t for key, t in uncounted(model.state_dict()).items() if not key.startswith(head)}
    if not any(map(is_of_attention, state)):
        # Weights of the backbone as published: what was added begins as the identity.
        target = {key: tensor for key, tensor in target.items() if not is_of_attention(key)}
    # A layer in the place of the part that the head is in is another head: `classifier` for `classifier.1`.
    other = {f"{backbone.head.rpartition('.')[0]}.{name}" for name in ("weight", "bias")} - target.keys()
    body = {key: tensor for key, tensor in state.items() if not key.startswith(head) and key not in other}
    if found := misfits(target, body):
        message = f"{path} does not fit {backbone.name}: {'; '.join(found)}"
        if any(map(is_of_attention, target.keys() ^ body.keys())):
            raise WeightsError(message, "where they are of a network with attention, give its `attention`")
        raise WeightsError(message, guess_backbone(state, backbone))
    copy_into(target, body, path)


def _from_hub(backbone: Backbone, progress: OnBytes | None) -> tuple[Path, str]:
    """torchvision's weights: the user's own copy of them, the cache's, or a download."""
    weights = torchvision_weights(backbone.name)
    name, cached = weights.file, hub_cache() / weights.file
    if (own := find_weights(names_of(backbone.name, name))) is not None:
        require_undamaged(own)
        said = f"torchvision {weights.name}" if own.name == name else f"file {own.name} (sha256 {sha256_of(own)[:16]})"
        return own, f"{said}, from {FOLDER_VARIABLE}"
    if not (cached.is_file() and sha256_of(cached).startswith(promised_hash(cached.name))):
        download(weights.url, cached, ways_out=_ways_out(cached), progress=progress)
    return cached, f"torchvision {weights.name}"


def _ways_out(target: Path) -> str:
    return (
        f"download it elsewhere and pass `weights` FILE, or put it at {target} or into {FOLDER_VARIABLE}, or train "
        "without it: `strategy` scratch"
    )
