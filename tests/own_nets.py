"""A file of small networks as a user may write them, good and bad."""

from __future__ import annotations

from pathlib import Path

__all__ = ["NETS", "write_nets"]

NETS = """
import threading

import torch
from torch import nn


class Plain(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.out = nn.Linear(12, classes)
        self.hidden = nn.Linear(16, 12)
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.scale = nn.BatchNorm2d(8)
        self.backbone = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(inplace=True))

    def forward(self, images):
        features = self.backbone(self.scale(self.first(images)).relu())
        return self.out(self.hidden(features.mean((2, 3))).relu())


def plain(classes):
    return Plain(classes)


def described(classes):
    class Swapped(Plain):
        edge = {
            "head": "hidden",
            "stages": {"low": ["first", "scale"], "high": ["backbone", "out"]},
            "features": "first",
            "image_size": 32,
            "resize": 40,
            "interpolation": "bicubic",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.25, 0.25],
        }

        def __init__(self, classes):
            super().__init__(classes)
            self.out, self.hidden = nn.Linear(16, 12), nn.Linear(12, classes)

        def forward(self, images):
            features = self.backbone(self.scale(self.first(images)).relu())
            return self.hidden(self.out(features.mean((2, 3))).relu())

    return Swapped(classes)


def two_parts(classes):
    net = nn.Sequential()
    net.features = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )
    net.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, classes))
    return net


def wrapped(classes):
    net = nn.Sequential()
    net.backbone = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2))
    net.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.out = nn.Linear(8, classes)
    return net


def sized(classes, image_size=24):
    net = nn.Sequential()
    net.flat = nn.Flatten()
    net.out = nn.Linear(3 * image_size**2, classes)
    first = nn.Sequential(nn.Conv2d(3, 3, 1))
    whole = nn.Sequential()
    whole.first, whole.flat, whole.out = first, net.flat, net.out
    whole.edge = {"image_size": image_size}
    return whole


def stiff(classes):
    return sized(classes)


def raises(classes):
    raise ValueError("no\\nwonder")


def no_module(classes):
    return {}


def a_tuple(classes):
    class Two(Plain):
        def forward(self, images):
            return super().forward(images), None

    return Two(classes)


def two_in_training(classes):
    class Two(Plain):
        def forward(self, images):
            return (super().forward(images), None) if self.training else super().forward(images)

    return Two(classes)


def ten_answers(classes):
    return Plain(10)


def said(classes, **edge):
    net = Plain(classes)
    net.edge = edge
    return net


def unknown_key(classes):
    return said(classes, heads="fc")


def no_such_head(classes):
    return said(classes, head="fc")


def half_staged(classes):
    return said(classes, stages={"a": ["first", "scale"], "b": ["hidden"]})


def twice_staged(classes):
    return said(classes, stages={"a": ["first", "scale", "backbone"], "b": ["hidden", "first"]})


def bad_size(classes):
    return said(classes, image_size="large")


def no_size(classes):
    return said(classes, image_size=0)


def no_numbers(classes):
    return said(classes, mean=(float("nan"), 0, 0))


def huge_mean(classes):
    return said(classes, mean=(10**400, 0, 0))


def head_of_number(classes):
    return said(classes, head=5)


def stages_of_number(classes):
    return said(classes, stages={"a": 5})


def dropping(classes):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Dropout(0.5), nn.LazyLinear(classes))


def two_headed(classes):
    net = Plain(classes)
    net.classifier = nn.Sequential(nn.Dropout(0.2), net.out)
    return net


def lazy(classes):
    net = Plain(classes)
    net.out = nn.LazyLinear(classes)
    return net


def lazy_beside(classes):
    net = Plain(classes)
    net.unused = nn.LazyLinear(classes)
    return net


def keeps_a_lock(classes):
    net = Plain(classes)
    net.lock = threading.Lock()
    return net


def counted(classes):
    net = said(classes, image_size=32)
    net.first.table = nn.Parameter(torch.arange(4), requires_grad=False)
    return net


def scattered(classes):
    class Scattered(Plain):
        edge = {"image_size": 32}

        def forward(self, images):
            features = self.backbone(self.scale(self.first(images)).relu()).mean((2, 3))
            sums = torch.zeros(len(images), 16)
            return self.out(self.hidden(sums.index_copy_(1, torch.arange(16), features)))

    return Scattered(classes)


def queried(classes):
    class Queried(Plain):
        edge = {"image_size": 32}

        def __init__(self, classes):
            super().__init__(classes)
            self.query = nn.Parameter(torch.rand(1, 1, 16))
            self.norm = nn.LayerNorm(16)
            self.fixed = nn.Parameter(torch.rand(16), requires_grad=False)

        def forward(self, images):
            cells = self.backbone(self.scale(self.first(images)).relu()).flatten(2).transpose(1, 2)
            asked = self.norm(self.query.expand(images.shape[0], -1, -1)) @ cells.transpose(1, 2)
            return self.out(self.hidden((asked.softmax(-1) @ cells)[:, 0] * self.fixed).relu())

    return Queried(classes)


def no_linear(classes):
    return nn.Sequential(nn.Conv2d(3, classes, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


def write_nets(folder: Path) -> Path:
    """The file `nets.py` in `folder`."""
    path = folder / "nets.py"
    path.write_text(NETS, encoding="utf-8")
    return path
