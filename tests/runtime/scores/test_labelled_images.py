"""Labelled images as batches: each once, in order, and what cannot be read beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from edge_runtime import Preprocessing, Sample, read_batches

CONTRACT = Preprocessing(resize_px=40, height_px=32, width_px=32, interpolation="bilinear")


@pytest.mark.parametrize("count", [0, 1, 4, 9, 33])
def test_every_readable_image_comes_once_and_in_order(tmp_path: Path, count: int) -> None:
    samples = []
    for index in range(count):
        Image.new("RGB", (40, 40), (index, 0, 0)).save(tmp_path / f"{index}.png")
        samples.append(Sample(f"{index}.png", index % 2))
    if count > 4:
        (tmp_path / "3.png").write_bytes(b"no picture")
    batches = list(read_batches(CONTRACT, tmp_path, samples, batch_size=4))
    seen = [sample for batch in batches for sample in batch.samples]
    assert seen == [sample for sample in samples if count <= 4 or sample.path != "3.png"]
    assert [int(pixels[0, 0, 0]) for batch in batches for pixels in batch.pixels] == [
        int(sample.path.removesuffix(".png")) for sample in seen
    ]
    assert [label for batch in batches for label in batch.truth] == [sample.label for sample in seen]
    errors = [error.message for batch in batches for error in batch.unreadable]
    assert len(errors) == (1 if count > 4 else 0) and all("3.png" in message for message in errors)
