"""Training runs of seconds: settings that are cheap on any machine, and what a test asks of the run they leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_runtime import Run, Silence
from edge_train import Network, TrainSettings, build, find_backbone, load_checkpoint

__all__ = [
    "QUICK",
    "SMALL",
    "Ear",
    "StopAt",
    "changed",
    "equal",
    "flags",
    "network",
    "quick_settings",
    "weights",
    "write_weights",
]

QUICK: dict[str, Any] = {
    "backbone": "shufflenet_v2_x0_5",
    "strategy": "scratch",
    "image_size": 32,
    "batch_size": 8,
    "threads": 1,
    "precision": "fp32",
}

# A backbone to give where any will do: as quick as training can be, apart from what goes on around it.
SMALL = f"{Path(__file__).with_name('small_net.py')}:staged"


def quick_settings(data: Path, out: Path, **others: object) -> TrainSettings:
    """Settings of a run of a few seconds on the folder `data`; `others` replace them."""
    return TrainSettings(**{**QUICK, "data": str(data), "out": out, "epochs": 2, **others})


def flags(**settings: object) -> list[str]:
    """The settings as `edge train` is given them."""
    return [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def network(name: str, classes: int = 3, **build_as: Any) -> Network:
    """The named backbone with the same random weights every time."""
    torch.manual_seed(0)
    return Network(build(find_backbone(name), classes=classes, **build_as), mean=(0.5,) * 3, std=(0.2,) * 3)


def write_weights(path: Path, name: str = "shufflenet_v2_x0_5") -> Path:
    """A file that stands for pretrained weights: random ones, with the batch norm statistics that suit them.

    With torch's initial statistics the signal dies on its way, and all images look alike in front of the head.
    """
    made = network(name).backbone.train()
    draw = torch.Generator().manual_seed(1)
    images = torch.randn(32, 3, 1, 1, generator=draw) + torch.randn(32, 3, 64, 64, generator=draw)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        made(images)
    torch.save(made.state_dict(), path)
    return path


def weights(run: Run, name: str = "last") -> dict[str, Tensor]:
    """The tensors of a run's last.pt or best.pt."""
    return dict(load_checkpoint(run.path / f"{name}.pt").network)


def equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    """Whether two state dicts are the same bit for bit."""
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """The names of the tensors that differ by a bit or more."""
    assert before.keys() == after.keys()
    return {key for key in before if not torch.equal(before[key], after[key])}


class Ear(Silence):
    """Keeps every line that a run says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


class StopAt(Silence):
    """Interrupts a run when it says, or begins, what `where` names."""

    def __init__(self, where: str) -> None:
        self.where = where

    def say(self, text: str) -> None:
        if self.where in text:
            raise KeyboardInterrupt

    def begin(self, task: str, total: int, unit: str = "images") -> None:
        self.say(f"{task} {total} {unit}")
