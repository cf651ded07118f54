"""A small finished run to export."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few epochs of a small backbone on a few drawn shapes."""
    pytest.importorskip("torch")
    from edge_train import TrainSettings, draw_shapes, train

    folder = tmp_path_factory.mktemp("export")
    data = draw_shapes(folder / "shapes", counts=(30, 12, 12))
    settings = TrainSettings(
        data=str(data),
        backbone="resnet18",
        strategy="scratch",
        epochs=5,
        image_size=48,
        batch_size=8,
        out=folder / "runs",
    )
    return train(settings).run.path
