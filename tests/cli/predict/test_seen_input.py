"""edge predict --save-input: nothing of the user's is written over."""

from __future__ import annotations

import io
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from PIL import Image

from edge_runtime import UsageError
from tiny_model import write_tiny_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """x.png, photo.png, which is another picture, and a model."""
    write_tiny_model(tmp_path / "model.onnx", labels=("red", "green", "blue"))
    Image.new("RGB", (40, 40), "red").save(tmp_path / "x.png")
    Image.new("RGB", (400, 300), "lime").save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(target: str, *, name: str = "x.png", model: str = "model.onnx") -> None:
    app = import_module("edge_cli.commands.predict").app
    words = [name, "--model", model, "--save-input", target]
    assert typer.main.get_command(app).main(words, standalone_mode=False, prog_name="edge") == 0


def test_another_file_is_left_as_it_is_before_the_model_is_opened(folder: Path) -> None:
    photo = (folder / "photo.png").read_bytes()
    (folder / "link.png").symlink_to("photo.png")
    (folder / "nowhere.png").symlink_to("gone.png")
    (folder / "folder.png").mkdir()
    (folder / "text.png").write_text("mine")
    before = sorted(folder.iterdir())
    for target in ("photo.png", "link.png", "nowhere.png", "folder.png", "text.png", "x.png"):
        with pytest.raises(UsageError, match=f"--save-input {target} is there already"):
            save(target, model="gone.onnx")
    assert sorted(folder.iterdir()) == before and (folder / "link.png").is_symlink()
    assert (folder / "photo.png").read_bytes() == photo


def test_the_picture_on_standard_input_is_left_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = (folder / "photo.png").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(photo)))
    with pytest.raises(UsageError, match="is there already"):
        save("photo.png", name="-")
    assert (folder / "photo.png").read_bytes() == photo


def test_what_it_saved_before_is_saved_anew(folder: Path) -> None:
    save("seen.png")
    with Image.open(folder / "seen.png") as seen:
        assert (np.asarray(seen) == (255, 0, 0)).all()
    save("seen.png", name="photo.png")
    with Image.open(folder / "seen.png") as seen:
        assert (np.asarray(seen) == (0, 255, 0)).all()
