"""Small files that unpack to the largest pictures the limits allow: memory and time of each, in a fresh process."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edge_runtime import ImageError, decode
from edge_runtime.images import memory as image_memory

MEMORY_MB = 500

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads memory from /proc")

CHILD = """
import json, sys
from pathlib import Path
from edge_runtime import ImageError, decode
from mutated_images import peak_mb
said, size = "", None
try:
    size = decode(sys.argv[1]).size
except ImageError as error:
    said = error.message
print(json.dumps({"size": size, "said": said, "peak_mb": peak_mb()}))
"""


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, colour: int, *extra: bytes) -> bytes:
    """A PNG of zeros, packed without ever being whole in memory."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes(1 + (width * channels * depth + 7) // 8)
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), *extra, chunk(b"IDAT", packed), chunk(b"IEND", b"")]
    )


def turned(data: bytes) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return data[:33] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + data[33:]


def tiff(width: int, height: int, bits: tuple[int, ...], photometric: int, rows_per_strip: int) -> bytes:
    """A deflated TIFF of zeros."""
    packer = zlib.compressobj(1)
    row = bytes(width * sum(bits) // 8)
    packed = b"".join(packer.compress(row) for _ in range(rows_per_strip)) + packer.flush()
    strips = height // rows_per_strip
    assert strips == 1
    bits_at = 8 + len(packed)
    tags = [(256, 4, 1, width), (257, 4, 1, height)]
    tags += [(258, 3, len(bits), bits[0] if len(bits) == 1 else bits_at), (259, 3, 1, 8), (262, 3, 1, photometric)]
    tags += [(273, 4, 1, 8), (277, 3, 1, len(bits)), (278, 4, 1, rows_per_strip), (279, 4, 1, len(packed))]
    start = bits_at + 2 * len(bits)
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"".join(
        [
            struct.pack("<2sHI", b"II", 42, start),
            packed,
            struct.pack(f"<{len(bits)}H", *bits),
            struct.pack("<H", len(tags)),
            entries,
            bytes(4),
        ]
    )


def huge_tile() -> bytes:
    """A TIFF of 64 × 64 pixels in one tile of 25,000 × 25,000."""
    tags = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(25_000)) for _ in range(25_000)) + packer.flush()
    tags += [(322, 4, 1, 25_000), (323, 4, 1, 25_000), (324, 4, 1, 8), (325, 4, 1, len(packed))]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(packed)) + packed + struct.pack("<H", len(tags)) + entries + bytes(4)


def bmp_of_line_ends(width: int, height: int) -> bytes:
    """A run-length BMP that says nothing but "next line", which Pillow fills byte by byte in Python."""
    palette = bytes(1024)
    rows = b"\1\0\0\0" * height + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0)
    return struct.pack("<2sIHHI", b"BM", 1078 + len(rows), 0, 0, 1078) + header + palette + rows


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(side: int, **options: Any) -> bytes:
    return encoded(Image.new("RGB", (side, side), (90, 120, 60)), "JPEG", **options)


def webp(side: int, mode: str, **options: Any) -> bytes:
    return encoded(Image.new(mode, (side, side)), "WEBP", **options)


READ: dict[str, Callable[[], bytes]] = {
    "png, 79 megapixels of RGB": lambda: png(8900, 8900, 8, 2),
    "png, 79 megapixels of 1 bit": lambda: png(8900, 8900, 1, 0),
    "png, 79 megapixels of a palette, some clear": lambda: png(
        8900, 8900, 8, 3, chunk(b"PLTE", bytes(768)), chunk(b"tRNS", b"\0\x80")
    ),
    "png, 54 megapixels of RGBA": lambda: png(7350, 7350, 8, 6),
    "png, 54 megapixels of RGB, turned": lambda: turned(png(7350, 7350, 8, 2)),
    "png, 72 megapixels of 16 bit": lambda: png(8500, 8500, 16, 0),
    "jpeg, 79 megapixels": lambda: jpeg(8900),
    "jpeg, 43 megapixels, progressive 4:4:4": lambda: jpeg(6550, progressive=True, subsampling=0),
    "jpeg, 61 megapixels, progressive 4:2:0": lambda: jpeg(7800, progressive=True, subsampling=2),
    "webp, 26 megapixels": lambda: webp(5150, "RGB"),
    "webp, 16 megapixels of RGBA, lossless": lambda: webp(4050, "RGBA", lossless=True),
    "tiff, 62 megapixels of RGB in one strip": lambda: tiff(7880, 7880, (8, 8, 8), 2, 7880),
    "tiff, 54 megapixels of 32 bit in one strip": lambda: tiff(7400, 7400, (32,), 1, 7400),
    "bmp, 15 megapixels of line ends": lambda: bmp_of_line_ends(3890, 3890),
}
REFUSED: dict[str, Callable[[], bytes]] = {
    "png, 79 megapixels of RGBA": lambda: png(8900, 8900, 8, 6),
    "png, 79 megapixels of RGB, turned": lambda: turned(png(8900, 8900, 8, 2)),
    "jpeg, 79 megapixels, progressive": lambda: jpeg(8900, progressive=True, subsampling=0),
    "webp, 79 megapixels": lambda: webp(8900, "RGB"),
    "tiff, 79 megapixels of 32 bit in one strip": lambda: tiff(8900, 8900, (32,), 1, 8900),
    "tiff, one tile of 625 megapixels": huge_tile,
    "bmp, 79 megapixels of line ends": lambda: bmp_of_line_ends(8900, 8900),
}


def outcome(data: bytes, tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "x"
    path.write_bytes(data)
    tests = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tests)!r})\n{CHILD}", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", READ)
def test_the_largest_pictures_allowed_stay_within_memory(name: str, tmp_path: Path) -> None:
    found = outcome(READ[name](), tmp_path)
    assert found["said"] == ""
    assert found["peak_mb"] < MEMORY_MB, found


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_what_would_take_more_is_refused_before_it_does(name: str, tmp_path: Path) -> None:
    found = outcome(REFUSED[name](), tmp_path)
    assert "MB to decode" in found["said"]
    assert found["peak_mb"] < MEMORY_MB, found


def test_the_limit_of_memory_follows_the_callers_limit_of_pixels() -> None:
    data = png(6000, 3000, 8, 6)
    assert decode(data).size == (6000, 3000)
    with pytest.raises(ImageError, match=r"takes 144 MB to decode; the limit is 99 MB"):
        decode(data, max_pixels=18_000_000)
    assert decode(png(3000, 2000, 8, 6), max_pixels=6_000_000).size == (3000, 2000)


def test_a_picture_larger_than_the_memory_that_is_free_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large.png").write_bytes(png(6000, 4000, 8, 2))
    (tmp_path / "small.png").write_bytes(png(3000, 2000, 8, 2))
    monkeypatch.setattr(image_memory, "available_memory_bytes", lambda: 90_000_000)
    with pytest.raises(ImageError, match=r"takes 96 MB to decode, and 90 MB of memory are free"):
        decode(tmp_path / "large.png")
    # What every machine has is not asked for.
    monkeypatch.setattr(image_memory, "available_memory_bytes", lambda: 0)
    assert decode(tmp_path / "small.png").size == (3000, 2000)
    monkeypatch.setattr(image_memory, "available_memory_bytes", lambda: None)
    assert decode(tmp_path / "large.png").size == (6000, 4000)
