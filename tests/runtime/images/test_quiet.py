"""Damaged pictures are one line: nothing below edge prints its own."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tiny_model import write_tiny_model


def tiff(compression: str, image: Image.Image) -> bytearray:
    file = io.BytesIO()
    image.save(file, "TIFF", compression=compression)
    return bytearray(file.getvalue())


def noisy() -> dict[str, bytes]:
    """Files of which Pillow, its plugins or libtiff print or log something."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))
    broken = {}
    for compression in ("tiff_adobe_deflate", "tiff_lzw"):
        data = tiff(compression, noise)
        data[60:100] = bytes(40)
        broken[f"{compression}.tif"] = bytes(data)
    # 65535 samples a pixel, which Pillow logs.
    many = tiff("raw", noise.convert("RGB"))
    at = many.index(struct.pack("<HHI", 277, 3, 1))
    many[at + 8 : at + 10] = b"\xff\xff"
    # An EXIF block that ends in the middle, of which Pillow warns.
    jpeg = io.BytesIO()
    noise.save(jpeg, "JPEG")
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01"
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    return {**broken, "samples.tif": bytes(many), "exif.jpg": b"\xff\xd8" + segment + jpeg.getvalue()[2:]}


@pytest.mark.parametrize("name", noisy())
def test_stderr_has_one_line_or_none(tmp_path: Path, name: str) -> None:
    model = write_tiny_model(tmp_path / "model.onnx")
    (tmp_path / name).write_bytes(noisy()[name])
    command = [sys.executable, "-m", "edge_cli", "predict", name, "--model", str(model), "--jsonl"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert len(lines) == done.returncode == (0 if name == "exif.jpg" else 1), done.stderr
    assert all(line.startswith(f"error: {name}") for line in lines)


def test_the_files_do_make_noise_without_it(tmp_path: Path) -> None:
    said: dict[str, Any] = {}
    for name, data in noisy().items():
        (tmp_path / name).write_bytes(data)
        code = f"import sys; from PIL import Image; Image.open({name!r}).convert('RGB').getexif()"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        said[name] = done.stderr.partition("Traceback")[0]
    assert all(said.values()), said
