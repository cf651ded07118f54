"""Pictures and a model for batches, and a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bucket_store import bucket_store
from drawn_photos import draw_photos
from tiny_model import write_tiny_model


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve pictures, one file that is none of them, a damaged picture and a hidden one."""
    folder = draw_photos(tmp_path / "photos", 12)
    (folder / "notes.txt").write_text("no picture")
    (folder / "near" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    (folder / ".hidden.png").write_bytes((folder / "near" / "1.png").read_bytes())
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that answers by colour."""
    return write_tiny_model(tmp_path / "model.onnx", labels=("red", "green", "blue"))


@pytest.fixture
def bucket() -> Iterator[tuple[dict[str, bytes], str]]:
    """The files of a bucket `photos`, by their keys, and the options that lead pyarrow's S3 client to it."""
    with bucket_store() as store:
        yield store
