"""What a checkpoint says of itself beside its tensors: which network it is, and what that expects of a picture.

It is a stranger's word: each value is looked at, and one that makes no sense is as if it were not there.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_train.imported.import_settings import Interpolation, are_channels
from edge_train.network.backbones import BACKBONES
from edge_train.network.building import LARGEST_PX
from edge_train.network.lookup import names_code

_MOST_LABELS = 100_000
# Less of a picture's side than this no network is shown.
_LEAST_CROP = 0.1
# What timm's train.py calls its arguments.
_TIMM_KEYS = {"crop_pct", "input_size", "img_size"}


@dataclass(frozen=True, slots=True)
class Claims:
    """What a checkpoint says; None, or empty, where it does not. `script` is whose it is, as far as its keys tell.

    `crop_share` is the input's side by the short side that it is cut from.
    """

    script: str = ""
    backbone: str | None = None
    labels: tuple[str, ...] | None = None
    image_size: int | None = None
    resize: int | None = None
    crop_share: float | None = None
    interpolation: Interpolation | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def read_claims(beside: Mapping[str, Any]) -> Claims:
    """What a checkpoint says, of which `beside` is the outermost dictionary."""
    args = _as_mapping(beside.get("args"))
    labels = _labels(beside) or _labels(_as_mapping(beside.get("hyper_parameters")))
    if isinstance(arch := beside.get("arch"), str):
        if "version" in beside or args.keys() & _TIMM_KEYS:
            return _of_timm(arch, args, labels)
        # PyTorch's own example writes `arch`, too, and many were made of it.
        return Claims(backbone=arch if arch in BACKBONES else f"timm:{arch}", labels=labels)
    if "edge_checkpoint" in beside:
        return _of_edge(_as_mapping(beside.get("card")))
    if isinstance(args.get("model"), str) and "val_crop_size" in args:
        return Claims(
            script="torchvision's reference scripts",
            backbone=_network(args["model"]),
            labels=labels,
            image_size=_pixels(args.get("val_crop_size")),
            resize=_pixels(args.get("val_resize_size")),
            interpolation=_interpolation(args.get("interpolation")),
        )
    script = "Lightning" if any(key in beside for key in ("pytorch-lightning_version", "hyper_parameters")) else ""
    return Claims(script=script, labels=labels)


def _of_timm(arch: str, args: Mapping[str, Any], labels: tuple[str, ...] | None) -> Claims:
    size = args.get("input_size")
    height, width = map(_pixels, size[1:]) if isinstance(size, list | tuple) and len(size) == 3 else (None, None)
    share = args.get("crop_pct")
    return Claims(
        script="timm's train.py",
        backbone=f"timm:{arch}",
        labels=labels,
        image_size=width if width == height is not None else _pixels(args.get("img_size")),
        crop_share=share if isinstance(share, float) and _LEAST_CROP <= share <= 1 else None,
        interpolation=_interpolation(args.get("interpolation")),
        mean=_channels(args.get("mean")),
        std=_channels(args.get("std"), positive=True),
    )


def _of_edge(card: Mapping[str, Any]) -> Claims:
    steps, normalization = _as_mapping(card.get("preprocessing")), _as_mapping(card.get("normalization"))
    return Claims(
        script="edge",
        backbone=_network(card.get("backbone")),
        labels=_labels(card),
        image_size=_pixels(steps.get("width")),
        resize=_pixels(steps.get("resize_short_side")),
        interpolation=_interpolation(steps.get("interpolation")),
        mean=_channels(normalization.get("mean")),
        std=_channels(normalization.get("std"), positive=True),
    )


def _network(name: object) -> str | None:
    """The name of a network that is no code: a checkpoint is not to run any."""
    return name if isinstance(name, str) and not names_code(name) else None


def _as_mapping(value: object) -> Mapping[str, Any]:
    if isinstance(value, argparse.Namespace):
        return vars(value)
    return value if isinstance(value, Mapping) else {}


def _labels(beside: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Class names as scripts write them: a list under one of these names, or ImageFolder's `class_to_idx`."""
    if (named := _by_number(_as_mapping(beside.get("class_to_idx")))) is not None:
        return named
    for key in ("classes", "class_names", "labels"):
        names = beside.get(key)
        if not isinstance(names, list | tuple) or not 2 <= len(names) <= _MOST_LABELS:
            continue
        if all(map(_is_name, names)) and len(set(names)) == len(names):
            return tuple(names)
    return None


def _by_number(numbers: Mapping[Any, Any]) -> tuple[str, ...] | None:
    """The names whose numbers are 0, 1, 2, … in that order."""
    names = {number: name for name, number in numbers.items() if type(number) is int and _is_name(name)}
    if not 2 <= len(numbers) <= _MOST_LABELS or names.keys() != set(range(len(numbers))):
        return None
    return tuple(names[number] for number in range(len(names)))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _pixels(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_PX else None


def _interpolation(value: object) -> Interpolation | None:
    if not isinstance(value, str):
        return None
    return "bilinear" if value == "bilinear" else "bicubic" if value == "bicubic" else None


def _channels(value: Any, *, positive: bool = False) -> tuple[float, ...] | None:
    return tuple(map(float, value)) if are_channels(value, positive=positive) else None
