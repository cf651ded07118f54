"""A server that many tests share, with limits small enough to meet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving import Served, serving
from tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def rgb_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "colours.onnx", labels=("red", "green", "blue"))


@pytest.fixture(scope="session")
def served(rgb_model: Path) -> Iterator[Served]:
    """At most 100 kB, 0.2 megapixels and 4 files a request, and one second for each step of it."""
    flags = ("--max-body", "0.1", "--max-pixels", "0.2", "--max-files", "4", "--timeout", "1")
    with serving(rgb_model, *flags) as server:
        yield server
