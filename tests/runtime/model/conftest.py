"""What several tests of a Classifier are asked with: a tiny model of three colours."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime import Classifier
from tiny_model import write_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx", labels=("stop", "go", "sky"))


@pytest.fixture
def classifier(model: Path) -> Classifier:
    return Classifier(model, threads=2)
