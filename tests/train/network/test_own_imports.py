"""What a user's file imports from beside itself is found there, and never beside another."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from edge_runtime import UsageError
from edge_train.network.building import build
from edge_train.network.lookup import find_backbone

NETS = """
from torch import nn
from layers import WIDTH

class Net(nn.Module):
    edge = {"image_size": 16}

    def __init__(self, classes):
        super().__init__()
        from late import scale
        self.scale = scale
        self.stem, self.fc = nn.Conv2d(3, WIDTH, 3), nn.Linear(WIDTH, classes)

    def forward(self, images):
        from later import pool
        return self.fc(pool(self.stem(images)) * self.scale())
"""
# What only a call imports.
LATE = "def scale():\n    from layers import WIDTH\n    return WIDTH\n"
LATER = "def pool(map):\n    return map.mean((2, 3))\n"


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in ("layers", "late", "later")]:
        del sys.modules[name]


def write(folder: Path, width: int) -> str:
    folder.mkdir(exist_ok=True)
    for name, text in (("nets", NETS), ("layers", f"WIDTH = {width}\n"), ("late", LATE), ("later", LATER)):
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return f"{folder / 'nets.py'}:Net"


def width_of(spec: str) -> int:
    model = build(find_backbone(spec), classes=2)
    assert model(torch.zeros(1, 3, 16, 16)).shape == (1, 2)
    return model.get_submodule("fc").in_features


def test_two_files_import_each_what_lies_beside_it(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one", 4), write(tmp_path / "two", 5)
    path = [*sys.path]
    assert [width_of(spec) for spec in (one, two, one)] == [4, 5, 4]
    assert sys.path == path


def test_a_package_beside_it_is_its_own_too(tmp_path: Path) -> None:
    for width in (4, 5):
        folder = tmp_path / str(width)
        spec = write(folder, width)
        (folder / "layers.py").unlink()
        (folder / "layers").mkdir()
        (folder / "layers" / "sizes.py").write_text(f"WIDTH = {width}\n")
        (folder / "layers" / "__init__.py").write_text("from layers.sizes import WIDTH\n")
        assert width_of(spec) == width


def test_an_edited_file_takes_what_now_lies_beside_it(tmp_path: Path) -> None:
    spec = write(tmp_path / "one", 4)
    assert width_of(spec) == 4
    (tmp_path / "one" / "layers.py").write_text("WIDTH = 16\n")
    (tmp_path / "one" / "nets.py").write_text(f"{NETS}\n# edited\n")
    assert width_of(spec) == 16


def test_the_programs_own_modules_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "program", 7)
    monkeypatch.syspath_prepend(tmp_path / "program")
    import layers  # type: ignore[import-not-found]

    assert width_of(write(tmp_path / "one", 4)) == 4
    assert sys.modules["layers"] is layers and layers.WIDTH == 7
    # Of its own folder the program has them already.
    assert width_of(f"{tmp_path / 'program' / 'nets.py'}:Net") == 7
    assert sys.modules["layers"] is layers


def test_what_lies_elsewhere_alone_is_not_found(tmp_path: Path) -> None:
    assert width_of(write(tmp_path / "one", 4)) == 4
    spec = write(tmp_path / "two", 5)
    (tmp_path / "two" / "layers.py").unlink()
    with pytest.raises(UsageError, match="No module named 'layers'"):
        find_backbone(spec)
    assert "layers" in sys.modules, "what the first file has, its network may import again"
