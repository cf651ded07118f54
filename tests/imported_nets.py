"""A small network whose layers are called like a ResNet's, and runs that are made of its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge_train import ImportResult, ImportSettings, build, find_backbone, import_checkpoint
from edge_train.network.checkpoint import load_checkpoint
from edge_train.network.network import Network
from quick_training import Ear

__all__ = [
    "CODE",
    "LABELS",
    "OPTIMIZER",
    "TINY",
    "State",
    "answers",
    "before",
    "body_and_head",
    "by_number",
    "expected",
    "noise",
    "pictures",
    "settings",
    "take",
    "tiny",
]

State = dict[str, Tensor]
LABELS = ("circle", "square", "triangle")
# A few layers, whose names are a ResNet's.
CODE = """
from collections import OrderedDict
from torch import nn

def net(classes):
    made = nn.Sequential(OrderedDict(
        conv1=nn.Conv2d(3, 8, 3, stride=2, bias=False),
        bn1=nn.BatchNorm2d(8),
        relu=nn.ReLU(),
        layer1=nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(16, classes),
    ))
    made.edge = {"image_size": 32, "resize": 32}
    return made
"""
OPTIMIZER = {"optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}}


TINY: list[str] = []


def tiny(classes: int = 3) -> nn.Module:
    """The network with statistics of its own."""
    torch.manual_seed(0)
    model = build(find_backbone(TINY[-1]), classes=classes).train()
    with torch.no_grad():
        model(torch.randn(16, 3, 32, 32))
    return model.eval()


def settings(out: Path, **others: Any) -> ImportSettings:
    return ImportSettings(**{"backbone": TINY[-1], "labels": LABELS, "out": out, "threads": 1, **others})


def take(path: Path, out: Path, ear: Ear | None = None, **others: Any) -> ImportResult:
    return import_checkpoint(path, settings(out, **others), progress=ear)


def pictures(size_px: int = 32) -> Tensor:
    return torch.randint(0, 256, (4, size_px, size_px, 3), generator=torch.Generator().manual_seed(0)).byte()


def answers(result: ImportResult) -> Tensor:
    with torch.no_grad():
        return load_checkpoint(result.run.best).build()(pictures())


def expected(model: nn.Module, result: ImportResult) -> Tensor:
    """What the network itself answers, its pictures normalised as the run's are."""
    mean, std = result.card.normalization["mean"], result.card.normalization["std"]
    with torch.no_grad():
        return Network(model, mean, std).eval()(pictures())


def before(state: State, prefix: str) -> State:
    return {f"{prefix}{key}": tensor for key, tensor in state.items()}


def by_number(state: State, model: nn.Module) -> State:
    children = [name for name, _ in model.named_children()]
    return {f"{children.index(key.split('.')[0])}.{key.split('.', 1)[1]}": t for key, t in state.items()}


def body_and_head(state: State) -> tuple[State, State]:
    body = {key: t for key, t in state.items() if not key.startswith("fc.")}
    return body, {key.removeprefix("fc."): t for key, t in state.items() if key.startswith("fc.")}


def noise(state: State) -> State:
    return {key: torch.rand(tensor.shape) for key, tensor in state.items()}
