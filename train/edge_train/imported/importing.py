"""A checkpoint that was trained elsewhere, made into a run: nothing is trained, all else is as after training.

The network answers as the script that trained it does, number for number, where the picture is prepared as there. With
images it is calibrated on validation and measured; without, its temperature is 1 and nothing is known of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from edge_runtime import (
    ModelCard,
    Preprocessing,
    Progress,
    Run,
    Silence,
    UsageError,
    WeightsError,
    as_kind,
    usable_cores,
)
from edge_train.imported.claims import Claims, read_claims
from edge_train.imported.foreign_head import BLUEPRINT_CLASSES, find_head
from edge_train.imported.import_run import leave_run
from edge_train.imported.import_settings import ImportSettings, parse_labels
from edge_train.imported.measuring import Measured, find_pictures, measure_pictures
from edge_train.imported.own_checkpoint import build_as_trained, is_built_otherwise, read_own_card
from edge_train.network.backbones import Backbone
from edge_train.network.building import build, preprocessing, preset
from edge_train.network.hub_weights import fetch, parse_hub_file
from edge_train.network.lookup import find_again, find_backbone
from edge_train.network.maker import PerChannel
from edge_train.network.network import Network
from edge_train.network.state_file import read_state_file, require_file, sha256_of
from edge_train.network.state_fit import blueprint, copy_into, guess_backbone, misfits, nearest_backbone
from edge_train.network.state_names import FoundState, NamedState, find_state, named_as, uncounted
from edge_train.network.user_path import user_path
from edge_train.run.borrowed_torch import borrow_torch
from edge_train.run.run_folder import check_out, require_room
from edge_train.run.versions import now, versions

STRATEGY = "imported"
_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class ImportResult:
    """The run folder made, the card of its best.pt, and what summary.json says; `unused` are the file's keys left."""

    run: Run
    card: ModelCard
    summary: dict[str, Any]
    unused: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """The network with the checkpoint's weights, how they came into it, and the keys of the file that did not."""

    network: torch.nn.Module
    classes: int
    architecture: dict[str, Any]
    how: str
    unused: tuple[str, ...]


@borrow_torch()
def import_checkpoint(
    checkpoint: str | Path, settings: ImportSettings | None = None, *, progress: Progress | None = None
) -> ImportResult:
    """Make a run below `out` of a checkpoint: a file of torch.save or safetensors, or `hf:OWNER/NAME`.

    It may be of torchvision's reference scripts, timm's train.py, Lightning, fastai or `edge`, or a bare state dict,
    whatever stands before its names. Nothing in it is run.

    Raises:
        UsageError: the file is not there, or settings and checkpoint do not go together (exit 2).
        DataError: the images cannot be used (exit 2).
        WeightsError: the checkpoint is damaged, hostile, or not of the backbone.
        OutputError: the run folder cannot be written.
    """
    started = time.perf_counter()
    settings, progress = as_kind(settings or ImportSettings(), ImportSettings, "`settings`"), progress or Silence()
    checkpoint = as_kind(checkpoint, str, "`checkpoint`")
    torch.set_num_threads(settings.threads or usable_cores())
    labels = None if settings.labels is None else parse_labels(settings.labels)
    path, origin = _find(str(checkpoint))
    found = find_state(read_state_file(path), path, average=not settings.no_ema)
    asked = None if settings.backbone is None else find_backbone(settings.backbone)
    claims, own = read_claims(found.beside), read_own_card(found, path, asked)
    backbone = _choose_backbone(asked, claims, own, found, path)
    contract, mean, std = _choose_preprocessing(settings, claims, backbone)
    if own is not None and is_built_otherwise(own, backbone):
        built = build_as_trained(own, found, contract, path)
        fitted = _Fitted(built, len(own.labels), dict(own.architecture), "", ())
    else:
        fitted = _fit(settings, backbone, found, path, contract.height_px)
    averaged = "the moving average" if found.averaged else ""
    origin = "; ".join(filter(None, (origin, claims.script, found.how, averaged, fitted.how)))
    labels, whence = (labels, "`labels`") if labels is not None else (claims.labels, "the checkpoint")
    if labels is None and not settings.data:
        raise UsageError(
            f"{path} answers {fitted.classes} classes, which nothing names",
            "name them with `labels` FILE, `labels` a,b,c or `labels` imagenet, or show labelled images with `data`",
        )
    require_room(settings.out)
    pictures = None
    if settings.data:
        pictures = find_pictures(settings, labels, progress)
        check_out(settings.out, pictures.places)
        labels, whence = (labels, whence) if labels is not None else (pictures.labels, "the data")
    assert labels is not None, "the data has classes"
    if len(labels) != fitted.classes:
        raise UsageError(
            f"{path} answers {fitted.classes} classes, but {whence} has {len(labels)}",
            "name them in the order of the network's outputs with `labels`",
        )
    network = Network(fitted.network, mean, std).eval()
    _say(progress, backbone, fitted, origin, contract, (mean, std), (labels, whence))
    card = ModelCard(
        labels=labels,
        preprocessing=contract,
        backbone=backbone.name,
        strategy=STRATEGY,
        temperature=1.0 if own is None else own.temperature,
        normalization={"mean": network.mean.flatten().tolist(), "std": network.std.flatten().tolist()},
        data={"name": path.stem, "imported": origin},
        versions=versions() | dict(backbone.maker.versions if backbone.maker else {}),
        created=now(),
        architecture=fitted.architecture | dict(backbone.maker.identity if backbone.maker else {}),
    )
    if own is not None and own.operating_point is not None:
        positive = own.operating_point.positive
        progress.say(f"note: its threshold for {positive!r} is not kept: choose one with edge export --data --positive")
    measured: Measured | None = None
    if pictures is None:
        whose = "" if own is None else " as the run's was"
        progress.say(f"no `data`: not calibrated, temperature {card.temperature:g}{whose}, and nothing is measured")
    else:
        measured = measure_pictures(settings, pictures, network, card, progress)
        card = measured.card
    run, summary = leave_run(settings, str(checkpoint), backbone, network, card, measured, fitted.unused, started)
    return ImportResult(run, card, summary, fitted.unused)


def _find(checkpoint: str) -> tuple[Path, str]:
    """The file, and what it is called in a card."""
    if (wanted := parse_hub_file(checkpoint)) is not None:
        return fetch(wanted)
    path = user_path(checkpoint)
    require_file(path, "name the file of a checkpoint, or hf:OWNER/NAME")
    return path, f"file {path.name} (sha256 {sha256_of(path)[:16]})"


def _choose_backbone(
    asked: Backbone | None, claims: Claims, own: ModelCard | None, found: FoundState, path: Path
) -> Backbone:
    if own is not None:
        return find_again(own.backbone, own.architecture)
    if asked is not None:
        return asked
    if claims.backbone is not None:
        return find_backbone(claims.backbone)
    near = nearest_backbone(found.tensors)
    hint = f"these look like the weights of {near}: `backbone` {near}" if near else "edge backbones lists them"
    raise UsageError(f"{path} does not say of which network it is", hint)


def _choose_preprocessing(
    settings: ImportSettings, claims: Claims, backbone: Backbone
) -> tuple[Preprocessing, PerChannel, PerChannel]:
    """What a person says, else what the checkpoint says, else the backbone's preset."""
    _, mean, std = preset(backbone)
    contract = preprocessing(backbone, settings.image_size or claims.image_size)
    # Of a size that a person chose, the checkpoint's own short side says nothing.
    claimed = claims.resize if settings.image_size is None else None
    if claimed is None and claims.crop_share is not None:
        claimed = int(contract.height_px / claims.crop_share)
    resize_px = settings.resize or claimed or contract.resize_px
    if resize_px < contract.height_px:
        raise UsageError(
            f"`resize` {resize_px} is less than the input of {contract.height_px} pixels that is cut from it",
            f"give {contract.height_px} or more",
        )
    interpolation = settings.interpolation or claims.interpolation or contract.interpolation
    try:
        contract = replace(contract, resize_px=resize_px, interpolation=interpolation)
    except UsageError as error:
        raise UsageError(f"`resize` {resize_px} is no short side that edge cuts from", error.hint) from error
    return contract, _three(settings.mean or claims.mean or mean), _three(settings.std or claims.std or std)


def _three(values: tuple[float, ...]) -> PerChannel:
    red, green, blue = values
    return red, green, blue


def _fit(settings: ImportSettings, backbone: Backbone, found: FoundState, path: Path, size_px: int) -> _Fitted:
    plan = blueprint(backbone, classes=BLUEPRINT_CLASSES, size_px=size_px)
    named = named_as(plan, found.tensors, path, prefix=settings.prefix)
    if wrong := _body_misfits(named, plan, backbone):
        raise _no_fit(found, named, backbone, path, wrong)
    head = find_head(named, backbone, plan, path)
    with torch.random.fork_rng(devices=[]):
        model = build(backbone, classes=head.classes, size_px=size_px, fastai_units=head.fastai_units)
    target = uncounted(model.state_dict())
    before = f"{backbone.head}."
    body = {key: t for key, t in named.tensors.items() if not key.startswith(before) and key not in head.taken}
    state, resampled = body, ""
    if backbone.maker is not None:
        state, resampled = backbone.maker.adapted(body, model)
    strangers = _strangers(state, target)
    state = {key: tensor for key, tensor in state.items() if key not in strangers} | dict(head.tensors)
    if wrong := misfits(target, state):
        raise _no_fit(found, named, backbone, path, wrong)
    copy_into(target, state, path)
    unused = (*strangers, *(key for key in named.beside or {} if key not in head.taken))
    architecture = {} if head.fastai_units is None else {"fastai_units": head.fastai_units}
    how = "; ".join(filter(None, (named.how, head.how, resampled)))
    return _Fitted(model, head.classes, architecture, how, unused)


def _body_misfits(named: NamedState, plan: torch.nn.Module, backbone: Backbone) -> list[str]:
    """What is amiss where some of the body is missing: better told than that the head is, too."""
    before = f"{backbone.head}."
    target = {key: tensor for key, tensor in uncounted(plan.state_dict()).items() if not key.startswith(before)}
    there = {key: tensor for key, tensor in named.tensors.items() if not key.startswith(before)}
    return misfits(target, there) if target.keys() - there.keys() else []


def _no_fit(found: FoundState, named: NamedState, backbone: Backbone, path: Path, wrong: Sequence[str]) -> WeightsError:
    near = nearest_backbone(found.tensors)
    hint = f"these look like the weights of {near}: use `backbone` {near}"
    if near in {"", backbone.name}:
        hint = guess_backbone(named.tensors, backbone)
    return WeightsError(f"{path} does not fit {backbone.name}: {'; '.join(wrong)}", hint)


def _strangers(state: Mapping[str, object], target: Mapping[str, object]) -> tuple[str, ...]:
    """Keys of parts that the network has not, as of an auxiliary head; further layers of its parts are no such keys."""
    parts = {key.split(".")[0] for key in target}
    return tuple(key for key in state if key.split(".")[0] not in parts)


def _say(  # noqa: PLR0917 (what a person must know of an import)
    progress: Progress,
    backbone: Backbone,
    fitted: _Fitted,
    origin: str,
    contract: Preprocessing,
    normalization: tuple[PerChannel, PerChannel],
    labels: tuple[tuple[str, ...], str],
) -> None:
    progress.say(f"backbone {backbone.name}; weights: {origin}")
    if backbone.maker is not None and backbone.maker.note:
        progress.say(f"note: {backbone.maker.note}")
    if fitted.unused:
        more = ", …" if len(fitted.unused) > _SHOWN else ""
        keys = "key" if len(fitted.unused) == 1 else "keys"
        progress.say(f"not used: {len(fitted.unused)} {keys} ({', '.join(fitted.unused[:_SHOWN])}{more})")
    names, whence = labels
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    progress.say(f"{len(names)} classes, named by {whence}: {shown}")
    mean, std = (", ".join(f"{value:g}" for value in values) for values in normalization)
    progress.say(
        f"input {contract.width_px}×{contract.height_px} px: short side to {contract.resize_px} px "
        f"({contract.interpolation}), then a centre crop; mean {mean}, std {std}"
    )
