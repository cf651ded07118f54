"""Freshly built backbones, exported on the fly: what each would cost on this machine, before any training.

Their weights are random. How long a network takes depends on its layers and the image size, not on what it has learnt.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from edge_benchmarks.contestants import Contestant
from edge_runtime import MissingExtraError, ModelCard, UsageError
from edge_train import BACKBONES, Backbone, find_backbone

__all__ = ["QUICK_FEW", "build_fresh", "choose_backbones", "missing_package"]

QUICK_FEW = ("mobilenet_v3_small", "mobilenet_v2", "resnet18")

# As published: file sizes then compare with everybody else's.
CLASSES = 1000

NEEDED = ("torch", "torchvision", "onnx", "onnxscript")


def missing_package() -> str | None:
    """The first package that exporting needs and that is not installed; None where nothing is missing."""
    return next((name for name in NEEDED if find_spec(name) is None), None)


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
        raise UsageError("--backbones names none", f"all, none, or some of {', '.join(BACKBONES)}")
    return tuple(dict.fromkeys(find_backbone(name) for name in names))


def build_fresh(backbone: Backbone, folder: Path, *, threads: int | None = None) -> Contestant:
    """Build `backbone` with random weights for its own image size, and export it into `folder`.

    Raises:
        MissingExtraError: torch, torchvision, onnx or onnxscript is not installed.
    """
    if missing := missing_package():
        raise MissingExtraError("export", missing)
    import torch

    from edge_export import write_onnx
    from edge_train import DeployedNetwork, Network, build, preset

    preprocessing, mean, std = preset(backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Network(build(backbone, classes=CLASSES), mean, std)
    card = ModelCard(
        labels=tuple(f"class {index}" for index in range(CLASSES)),
        preprocessing=preprocessing,
        backbone=backbone.name,
        strategy="scratch",
        normalization={"mean": list(mean), "std": list(std)},
    )
    path = folder / f"{backbone.name}.onnx"
    write_onnx(DeployedNetwork(network), card, path)
    return Contestant("fresh", path, threads=threads, fresh=True)
