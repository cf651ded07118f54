"""A server that many tests share, with limits small enough to meet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from certificates import Certificate, make_certificate
from serving import Served, serving
from tiny_model import write_multi_label_model, write_multi_task_model, write_tiny_model

if TYPE_CHECKING:
    from browser import Browser


@pytest.fixture(scope="session")
def rgb_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "colours.onnx", labels=("red", "green", "blue"))


@pytest.fixture(scope="session")
def served(rgb_model: Path) -> Iterator[Served]:
    """At most 100 kB, 0.2 megapixels and 4 files a request, and one second for each step of it."""
    flags = ("--max-body", "0.1", "--max-pixels", "0.2", "--max-files", "4", "--timeout", "1")
    with serving(rgb_model, *flags) as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def served_two(rgb_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two models on one server, with the limits of `served`; `lights` sees 16 pixels and says `bright` of red."""
    folder = tmp_path_factory.mktemp("two")
    lights = write_tiny_model(folder / "lights.onnx", ("bright", "middling", "dim"), size=16)
    flags = ("--max-body", "0.1", "--max-pixels", "0.2", "--max-files", "4", "--timeout", "1")
    with serving({"colours": rgb_model, "lights": lights}, *flags) as server:
        yield server


@pytest.fixture(scope="session")
def served_labels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A model that gives a picture any number of labels."""
    with serving(write_multi_label_model(tmp_path_factory.mktemp("labels") / "labels.onnx")) as server:
        yield server


@pytest.fixture(scope="session")
def served_tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A model of two tasks."""
    with serving(write_multi_task_model(tmp_path_factory.mktemp("tasks") / "tasks.onnx")) as server:
        yield server


@pytest.fixture(scope="session")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Headless Chromium, for tests that are marked to need it."""
    from browser import Browser

    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.driver.quit()
