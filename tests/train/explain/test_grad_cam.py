"""What Grad-CAM explains where nobody names a label: the answer, by the threshold where there is one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from edge_runtime import ModelCard, OperatingPoint, Preprocessing, UsageError  # noqa: E402
from edge_train import Checkpoint, Explainer, Network, build, find_backbone  # noqa: E402
from quick_training import network  # noqa: E402


def test_the_class_that_must_not_be_missed_is_explained_from_its_threshold_on() -> None:
    card = ModelCard(
        labels=("well", "ill"),
        preprocessing=Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear"),
        backbone="squeezenet1_1",
        strategy="scratch",
        normalization={"mean": [0.5] * 3, "std": [0.2] * 3},
    )
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    checkpoint = Checkpoint(card, network("squeezenet1_1", classes=2).state_dict(), 1, {})
    ill = Explainer(checkpoint)(pixels, "ill").probability
    for threshold, answer in ((ill / 2, "ill"), ((1 + ill) / 2, "well")):
        decided = replace(card, operating_point=OperatingPoint("ill", threshold, 0.95, 20, 19))
        assert Explainer(replace(checkpoint, card=decided))(pixels).label == answer


FIXED = """
import torch
from torch import nn

class Net(nn.Module):
    edge = {"image_size": 16}

    def __init__(self, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
        self.after, self.pool, self.fc = nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Linear(8, classes)

    def rest(self, features):
        return self.fc(self.pool(self.after(features)).flatten(1))

    def forward(self, images):
        return self.rest(self.body(images))

class Fixed(Net):
    def __init__(self, classes):
        super().__init__(classes)
        self.requires_grad_(False)

class Without(Net):
    def forward(self, images):
        with torch.no_grad():
            features = self.body(images)
        return self.rest(features)

class Opaque(Net):
    @torch.no_grad()
    def forward(self, images):
        return super().forward(images)
"""


def test_what_its_maker_fixed_is_explained_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "nets.py").write_text(FIXED, encoding="utf-8")
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    torch.manual_seed(0)
    kept = None

    def explained(function: str) -> NDArray[np.float32]:
        nonlocal kept
        backbone = find_backbone(f"{tmp_path / 'nets.py'}:{function}")
        assert backbone.maker is not None
        kept = kept or Network(build(backbone, classes=2), [0.5] * 3, [0.2] * 3).state_dict()
        card = ModelCard(
            labels=("well", "ill"),
            preprocessing=Preprocessing(resize_px=16, height_px=16, width_px=16, interpolation="bilinear"),
            backbone=backbone.name,
            strategy="scratch",
            normalization={"mean": [0.5] * 3, "std": [0.2] * 3},
            architecture=dict(backbone.maker.identity),
        )
        return Explainer(Checkpoint(card, kept, 1, {}))(pixels, "ill").heat

    learned = explained("Net")
    assert learned.max() == 1
    for function in ("Fixed", "Without"):
        assert np.array_equal(explained(function), learned), function
    with pytest.raises(UsageError, match=r"nets\.py:Opaque lets no gradient through"):
        explained("Opaque")
