"""Freshly built backbones, exported on the fly: what each would cost on this machine, before any training.

Their weights are random. How long a network takes depends on its layers and the image size, not on what it has learnt;
what it answers, in int8 as in fp32, means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from edge_benchmarks.models.contestant import Contestant
from edge_benchmarks.models.drawn_picture import draw_picture
from edge_benchmarks.models.sourced_accuracy import SourcedAccuracy
from edge_runtime import METADATA_KEY, ModelCard, UsageError, require_extra, with_metadata
from edge_train import BACKBONES, Backbone, as_file_name, find_backbone

if TYPE_CHECKING:
    from edge_train import Network

FreshPrecision: TypeAlias = Literal["fp32", "int8"]

# As published: file sizes then compare with everybody else's.
CLASSES = 1000
IMAGENET_IMAGES = 50_000


def choose_backbones(choice: str) -> tuple[Backbone, ...]:
    """The backbones of `--backbones`: `all`, `none`, or names with commas between; each once, in the order given.

    Raises:
        UsageError: a name is unknown, or there is none.
    """
    if choice.strip().lower() == "none":
        return ()
    if choice.strip().lower() == "all":
        return tuple(BACKBONES.values())
    names = [name.strip() for name in choice.split(",") if name.strip()]
    if not names:
        raise UsageError("`backbones` names none", f"all, none, or some of {', '.join(BACKBONES)}")
    found = [find_backbone(name) for name in names]
    # Who makes it is no part of what makes two backbones equal.
    return tuple({(each, _identity(each)): each for each in found}.values())


def tell_apart(backbones: Sequence[Backbone]) -> list[str]:
    """What each is called among the others: its name, or of several files of one name the folder, too."""
    names = [backbone.name for backbone in backbones]
    files = [Path(dict(_identity(backbone)).get("network_file", "")) for backbone in backbones]
    longer = [f"{file.parent.name}/{name}" for file, name in zip(files, names, strict=True)]
    longest = [f"{file.parent}/{name}" for file, name in zip(files, names, strict=True)]
    found = []
    for named in zip(names, longer, longest, strict=True):
        kept = zip(named, ([*map(_as_stem, known)] for known in (names, longer)), strict=False)
        found.append(next((name for name, known in kept if known.count(_as_stem(name)) == 1), named[-1]))
    return found


def _as_stem(name: str) -> str:
    return as_file_name(name).lstrip("-")


def _identity(backbone: Backbone) -> tuple[tuple[str, str], ...]:
    return () if backbone.maker is None else tuple(backbone.maker.identity.items())


def choose_precisions(choice: str) -> tuple[FreshPrecision, ...]:
    """The precisions of `--precision`, names with commas between; each once. Raises UsageError for an unknown name."""
    names = [name.strip().lower() for name in choice.split(",") if name.strip()]
    known: Sequence[FreshPrecision] = get_args(FreshPrecision)
    if not names or any(name not in known for name in names):
        raise UsageError(f"`precision` {choice}: choose from {', '.join(known)}", "or both, with a comma between")
    return tuple(precision for precision in known if precision in names)


def build_fresh(
    backbone: Backbone,
    folder: Path,
    *,
    checkpoint: bool = False,
    size_px: int | None = None,
    name: str | None = None,
) -> Contestant:
    """Build `backbone` with random weights, and export it into `folder`.

    It and its file are called `name`, by default as the backbone is. It is for images of `size_px`, in its name then,
    or else for those of its own size. With `checkpoint` the network lies beside it as a checkpoint, for engines that
    need one.

    Raises:
        MissingExtraError: torch, torchvision, onnx or onnxscript is not installed.
        UsageError: a size that the backbone cannot digest.
    """
    require_extra("export")
    from edge_export import write_onnx
    from edge_train import Checkpoint, DeployedNetwork, save_checkpoint

    network, card = _make(backbone, size_px)
    name = name or backbone.name
    stem = _as_stem(name) + ("" if size_px is None else f"-{size_px}px")
    path = folder / f"{stem}.onnx"
    kept = folder / f"{stem}.pt" if checkpoint else None
    if kept is not None:
        save_checkpoint(kept, Checkpoint(card, network.state_dict(), epoch=0, training={}))
    write_onnx(DeployedNetwork(network), card, path)
    title = name if size_px is None else f"{name} {size_px} px"
    known = _published(backbone) if size_px is None else None
    return Contestant(title, path, fresh=True, passing=True, checkpoint=kept, known_accuracy=known)


def _published(backbone: Backbone) -> SourcedAccuracy | None:
    if backbone.imagenet_top1 is None:
        return None
    return SourcedAccuracy(
        backbone.imagenet_top1 / 100, IMAGENET_IMAGES, "published", "ImageNet, torchvision's weights"
    )


def build_int8(contestant: Contestant, folder: Path) -> Contestant:
    """The same backbone as an int8 file in `folder`, calibrated on a drawn picture.

    Raises:
        ModelError: onnxruntime cannot quantise it.
    """
    from edge_export import to_int8

    card = contestant.card
    assert card is not None
    path = folder / f"{contestant.model.stem}-int8.onnx"
    pixels = card.preprocessing(draw_picture(folder / "calibration.jpg"))
    to_int8(contestant.model, path, [np.stack([pixels, pixels[:, ::-1]])])
    text = replace(card, precision="int8").dumps()
    path.write_bytes(with_metadata(path.read_bytes(), {METADATA_KEY: text}, where=path))
    # Published accuracy is that of the float network.
    return replace(contestant, model=path, checkpoint=None, known_accuracy=None)


def _make(backbone: Backbone, size_px: int | None) -> tuple[Network, ModelCard]:
    import torch

    from edge_train import Network, build, preprocessing, preset

    _, mean, std = preset(backbone)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = Network(build(backbone, classes=CLASSES, size_px=size_px), mean, std)
        _settle(network, size_px or backbone.image_size_px)
    card = ModelCard(
        labels=tuple(f"class {index}" for index in range(CLASSES)),
        preprocessing=preprocessing(backbone, size_px),
        backbone=backbone.name,
        strategy="scratch",
        normalization={"mean": list(mean), "std": list(std)},
        architecture=dict(_identity(backbone)),
    )
    return network, card


def _settle(network: Network, size_px: int) -> None:
    """Give batch norm the statistics of random pictures, so that activations are as wide as in a trained network.

    Where they shrink from layer to layer, an int8 file's hard sigmoids find no steps to be integers in.
    """
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None
    with torch.no_grad():
        network.train()(torch.randint(0, 256, (2, size_px, size_px, 3), dtype=torch.uint8))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
