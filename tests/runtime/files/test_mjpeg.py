"""Streams of JPEGs: every frame whole, as soon as it is there, whatever stands between and inside them."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from edge_runtime import ImageError, read_frames
from edge_runtime.files import mjpeg


def jpeg(seed: int, *, thumbnail: bool = False, **options: object) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8)
    file = io.BytesIO()
    exif = Image.Exif()
    if thumbnail:
        # A whole JPEG inside the first one's header.
        exif[0x9286] = b"ASCII\0\0\0" + jpeg(seed + 1)
    Image.fromarray(pixels).save(file, "JPEG", exif=exif, **options)
    return file.getvalue()


FRAMES = [
    jpeg(0),
    jpeg(1, thumbnail=True),
    jpeg(2, progressive=True),
    jpeg(3, restart_marker_blocks=1),
    jpeg(4, quality=100, comment=b"\xff\xd9"),
]


class Slowly(io.RawIOBase):
    """Gives a few bytes at a time."""

    def __init__(self, data: bytes, sizes: Iterator[int]) -> None:
        self._left, self._sizes = data, sizes

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        count = min(next(self._sizes), size)
        taken, self._left = self._left[:count], self._left[count:]
        return taken


@given(st.lists(st.integers(1, 9000), min_size=1), st.lists(st.binary(max_size=40), min_size=6, max_size=6))
def test_every_frame_comes_out_as_it_went_in(sizes: list[int], between: list[bytes]) -> None:
    gaps = [gap.replace(b"\xff", b"") for gap in between]
    data = b"".join(gap + frame for gap, frame in zip(gaps, [*FRAMES, b""], strict=True))
    endless = (size for _ in iter(int, 1) for size in sizes)
    assert list(read_frames(Slowly(data, endless))) == FRAMES  # type: ignore[arg-type]


def test_a_frame_is_given_before_the_next_is_written() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream, os.fdopen(writer, "wb", buffering=0) as camera:
        frames = read_frames(stream)
        for frame in FRAMES:
            threading.Thread(target=camera.write, args=(frame,)).start()
            assert next(frames) == frame


def test_a_frame_cut_short_is_an_error_after_the_whole_ones() -> None:
    first, last = read_frames(io.BytesIO(FRAMES[0] + FRAMES[1][:-20]))
    assert first == FRAMES[0]
    assert isinstance(last, ImageError)
    assert last.kind == "truncated"
    assert "frame 2" in last.message


def test_a_frame_that_never_ends_is_an_error_and_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mjpeg, "MAX_FRAME_BYTES", 100_000)
    endless = FRAMES[0][:-2] + bytes(300_000)
    error, *rest = read_frames(io.BytesIO(endless + FRAMES[1]))
    assert isinstance(error, ImageError)
    assert error.kind == "oversized"
    assert rest == [FRAMES[1]]


def test_what_is_no_stream_of_jpegs_has_no_frames() -> None:
    assert list(read_frames(io.BytesIO(b"\x89PNG" * 1000))) == []
    assert list(read_frames(io.BytesIO())) == []
