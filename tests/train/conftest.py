"""What several tests of training share: a few pictures of shapes, and a file that stands for pretrained weights."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def few_shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 images to train on, 9 to validate with, 9 to test with, in three classes."""
    from edge_data import draw_shapes

    return draw_shapes(tmp_path_factory.mktemp("few") / "shapes", counts=(24, 9, 9))


@pytest.fixture(scope="session")
def shufflenet_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict of shufflenet_v2_x0_5 with random weights."""
    from quick_training import write_weights

    return write_weights(tmp_path_factory.mktemp("weights") / "shufflenet.pth")


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict of quick_training's SMALL with random weights."""
    from quick_training import SMALL, write_weights

    return write_weights(tmp_path_factory.mktemp("weights") / "small.pth", SMALL)
