"""What Grad-CAM explains where nobody names a label: the answer, by the threshold where there is one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_runtime import ModelCard, OperatingPoint, Preprocessing  # noqa: E402
from edge_train import Checkpoint, Explainer  # noqa: E402
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
