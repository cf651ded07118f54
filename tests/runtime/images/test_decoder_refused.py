"""What `decode` refuses, and what it says: truncated and damaged files, other formats, paths that are no files."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from edge_runtime import MAX_PIXELS, ImageError, decode
from edge_runtime.images import decoder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ORIENTATION = 0x0112


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bmp_rle8() -> bytes:
    palette = b"".join(bytes([value, 255 - value, value // 2, 0]) for value in range(256))
    rows = b"".join(bytes([5, 20 * row, 3, 7, 0, 4, 9, 8, 7, 6, 0, 0]) for row in range(9)) + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, 12, 9, 1, 8, 1, len(rows), 0, 0, 256, 0)
    return struct.pack("<2sIHHI", b"BM", 1078 + len(rows), 0, 0, 1078) + header + palette + rows


def tiff_with_directory_last() -> bytes:
    data = bytes(range(60))
    entries = {256: 10, 257: 6, 258: 8, 259: 1, 262: 1, 273: 8, 274: 6, 277: 1, 278: 6, 279: 60}
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + struct.pack("<H", len(entries)) + packed + bytes(4)


def whole_files() -> dict[str, bytes]:
    noise = np.random.default_rng(0).integers(0, 90, (30, 41, 3), np.uint8)
    y, x = np.mgrid[:30, :41]
    image = Image.fromarray(noise + np.stack([x * 4, y * 5, x + y], axis=-1).astype(np.uint8))
    palette, clear, other = image.quantize(64), image.convert("RGBA"), image.transpose(Image.Transpose.ROTATE_180)
    clear.putalpha(image.getchannel("R"))
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    png = encode(image, "PNG")
    late = chunk(b"eXIf", turned.tobytes().removeprefix(b"Exif\0\0")) + chunk(b"IEND", b"")
    return {
        "jpeg": encode(image, "JPEG", exif=turned, quality=90),
        "jpeg-progressive": encode(image, "JPEG", progressive=True),
        "jpeg-restarts": encode(image, "JPEG", restart_marker_rows=1),
        "jpeg-cmyk": encode(image.convert("CMYK"), "JPEG"),
        "mpo": encode(image, "MPO", save_all=True, append_images=[other]),
        "png": png,
        "png-late-exif": png.removesuffix(chunk(b"IEND", b"")) + late,
        "png-palette": encode(palette, "PNG", transparency=3),
        "apng": encode(image, "PNG", save_all=True, append_images=[other]),
        "gif": encode(palette, "GIF"),
        "gif-interlaced": encode(palette, "GIF", interlace=1),
        "gif-animated": encode(palette, "GIF", save_all=True, append_images=[other.quantize(64)]),
        "webp": encode(image, "WEBP", exif=turned),
        "webp-lossless": encode(clear, "WEBP", lossless=True),
        "webp-animated": encode(image, "WEBP", save_all=True, append_images=[other]),
        "bmp": encode(image, "BMP"),
        "bmp-palette": encode(palette, "BMP"),
        "bmp-1": encode(image.convert("1"), "BMP"),
        "bmp-rle": bmp_rle8(),
        "tiff": encode(image, "TIFF", exif=turned),
        "tiff-directory-last": tiff_with_directory_last(),
        "tiff-lzw": encode(image, "TIFF", compression="tiff_lzw", exif=turned),
        "tiff-deflate": encode(image, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-jpeg": encode(image, "TIFF", compression="jpeg"),
        "tiff-fax": encode(image.convert("1"), "TIFF", compression="group4"),
        "tiff-palette": encode(palette, "TIFF"),
        "bigtiff": encode(image, "TIFF", big_tiff=True),
    }


WHOLE = whole_files()


@pytest.mark.parametrize("name", WHOLE)
# What Pillow warns of must not be what saves us: users do not turn warnings into errors.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_truncated_file_is_an_error_or_loses_nothing(name: str) -> None:
    data = WHOLE[name]
    whole = np.asarray(decode(data))
    for length in sorted({*range(0, len(data), 10), *range(max(0, len(data) - 140), len(data))}):
        try:
            cut = np.asarray(decode(data[:length]))
        except ImageError:
            continue
        assert np.array_equal(cut, whole), f"{length} of {len(data)} bytes"


@pytest.mark.parametrize("reduce_to_px", [None, 30])
def test_half_a_photo_is_refused_by_name(tmp_path: Path, reduce_to_px: int | None) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8))
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"):
        data = encode(noise, kind)
        path = tmp_path / f"half.{kind}"
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(ImageError, match=f"half.{kind}") as refused:
            decode(path, reduce_to_px=reduce_to_px)
        assert refused.value.hint
        with pytest.raises(ImageError, match="image bytes"):
            decode(path.read_bytes())


def test_an_image_is_called_what_the_caller_says_and_no_address_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(encode(Image.new("RGB", (9, 9)), "TIFF")[:40])
    for source in (tmp_path / "x.tif", (tmp_path / "x.tif").read_bytes(), tmp_path / "gone", b""):
        with pytest.raises(ImageError) as refused:
            decode(source, name="a photo\nof image bytes")
        assert refused.value.message.startswith("a photo\\nof image bytes ")
        assert " at 0x" not in refused.value.message and str(tmp_path) not in refused.value.message


@given(name=st.sampled_from(sorted(WHOLE)), seed=st.integers(0, 2**32 - 1), count=st.integers(1, 12))
@settings(max_examples=400)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_bytes_give_a_picture_or_an_image_error(name: str, seed: int, count: int) -> None:
    data = bytearray(WHOLE[name])
    rng = np.random.default_rng(seed)
    for position in rng.integers(0, min(len(data), rng.choice([64, 300, 10**6])), count):
        data[position] = rng.integers(0, 256)
    try:
        image = decode(data, max_pixels=1_000_000)
    except ImageError as error:
        assert error.message.startswith("image bytes")
    else:
        assert image.mode == "RGB"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\xff\xd8", "not an image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40), "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1miafheix" + bytes(40), "HEIC"),
        (b"\xff\x0a\x00\x10" + bytes(40), "JPEG XL"),
        (b"8BPS\0\x01" + bytes(40), "Photoshop"),
        (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B" + bytes(40), "AVIF"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isommp42" + bytes(40), "video"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf  <svg viewBox='0 0 1 1'/>", "SVG"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        (b"<!DOCTYPE html><title>404</title>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
        (b"BMW, Audi and others\n", "text"),
        ("grüße, ".encode() * 100, "text"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "JPEG, PNG, GIF, BMP, WebP, TIFF, AVIF and HEIC"),
        (b"RIFF\0\0\0\0WAVEfmt ", "JPEG, PNG, GIF, BMP, WebP, TIFF, AVIF and HEIC"),
        (bytes(1000), "JPEG, PNG, GIF, BMP, WebP, TIFF, AVIF and HEIC"),
    ],
)
def test_what_is_no_image_is_named_for_what_it_is(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError) as refused:
        decode(path)
    assert refused.value.message.startswith(str(path))
    assert said in str(refused.value)


posix = pytest.mark.skipif(os.name != "posix", reason="there are none")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unbound:
        unbound.bind(path.name)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: None, "does not exist"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.symlink_to("gone.jpg"), "link to a file that does not exist"),
        (lambda path: path.symlink_to(path), "cannot be opened"),
        pytest.param(fifo, "not a regular file", marks=posix),
        pytest.param(bound_socket, "not a regular file", marks=posix),
    ],
)
def test_paths_that_are_no_files_are_refused_by_name(
    make: Callable[[Path], None], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.jpg"
    make(path)
    for source in (path, str(path)):
        with pytest.raises(ImageError, match=said) as refused:
            decode(source)
        assert str(path) in refused.value.message
        assert refused.value.hint


@pytest.mark.parametrize("path", ["", "a\0b.jpg", "x" * 5000, "/dev/null/x.jpg", os.devnull, "\udcff.jpg"])
def test_odd_paths_are_refused(path: str) -> None:
    with pytest.raises(ImageError) as refused:
        decode(path)
    # A character that commands a terminal is spelled out.
    assert (path.replace("\0", "\\x00") or "''") in refused.value.message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(WHOLE["png"])
    path.chmod(0)
    with pytest.raises(ImageError, match="may not be read"):
        decode(path)


@pytest.mark.parametrize("source", [None, 3, np.float32(3), ["a.png"]])
def test_what_is_no_source_is_refused(source: Any) -> None:
    with pytest.raises(ImageError, match=type(source).__name__):
        decode(source)


def bomb_png(side: int) -> bytes:
    row = zlib.compressobj()
    packed = b"".join(row.compress(bytes(side // 8 + 1)) for _ in range(side)) + row.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def huge_headers() -> dict[str, bytes]:
    """Small files that say they are 12000 × 12000."""
    side = struct.pack("<H", 12000)
    vp8x = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (11999).to_bytes(3, "little") * 2
    vp8l = b"VP8L" + struct.pack("<I", 5) + b"\x2f" + (11999 | 11999 << 14).to_bytes(4, "little") + bytes(12)
    vp8 = b"VP8 " + struct.pack("<I", 30) + bytes(3) + b"\x9d\x01\x2a" + side * 2 + bytes(20)
    webp = {name: b"RIFF" + struct.pack("<I", len(b) + 4) + b"WEBP" + b for name, b in
            (("vp8x", vp8x), ("vp8l", vp8l), ("vp8", vp8))}  # fmt: skip
    gif = b"GIF89a" + side * 2 + bytes(3) + b"!\xf9\x04\x08\0\0\0\0" + b"," + bytes(4) + side * 2 + b"\0\x02\0;"
    jpeg = WHOLE["jpeg-progressive"]
    at = jpeg.index(b"\xff\xc2") + 5
    jpeg = jpeg[:at] + struct.pack(">HH", 12000, 12000) + jpeg[at + 4 :]
    return {"png": bomb_png(12000), "gif": gif, "jpeg": jpeg, **webp}


@pytest.mark.parametrize("name", ["png", "gif", "jpeg", "vp8x", "vp8l", "vp8"])
def test_the_pixel_limit_is_checked_before_decoding(name: str) -> None:
    data = huge_headers()[name]
    tracemalloc.start()
    try:
        # No warning of Pillow's either: warnings are errors here.
        with pytest.raises(ImageError, match=r"12000 × 12000 pixels, 144.0 million; the limit is 80 million"):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_the_pixel_limit_can_be_set_and_holds_for_pil_images() -> None:
    assert MAX_PIXELS == 80_000_000
    assert decode(WHOLE["png"], max_pixels=30 * 41).size == (41, 30)
    for source in (WHOLE["png"], Image.open(BytesIO(WHOLE["png"])), Image.new("RGB", (41, 30))):
        with pytest.raises(ImageError, match="41 × 30"):
            decode(source, max_pixels=30 * 41 - 1)


def test_a_frame_larger_than_its_gif_is_held_to_the_limit() -> None:
    data = bytearray(WHOLE["gif"])
    data[6:10] = struct.pack("<HH", 1, 1)
    assert decode(data).size == (41, 30)
    with pytest.raises(ImageError, match="41 × 30"):
        decode(data, max_pixels=1000)


def test_lab_is_refused_as_not_every_pillow_converts_it() -> None:
    lab = Image.frombytes("LAB", (2, 1), bytes(6))
    for source in (lab, encode(lab, "TIFF")):
        with pytest.raises(ImageError, match="colour space LAB"):
            decode(source)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (None, "missing"),
        (b"", "not-an-image"),
        (b"text", "not-an-image"),
        (WHOLE["png"][:-40], "truncated"),
        (WHOLE["jpeg"][:-500], "truncated"),
        (WHOLE["png"].replace(b"IDAT\x78", b"IDAT\xff", 1), "damaged"),
        (WHOLE["jpeg"][:2] + b"\xff\xe0\0\2" + bytes(100_000) + WHOLE["jpeg"][2:], "hostile"),
        (bomb_png(12000), "too-large"),
        (encode(Image.frombytes("LAB", (2, 1), bytes(6)), "TIFF"), "colour-space"),
    ],
)
def test_its_kind_says_why_and_survives_pickling(content: bytes | None, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "truncated pixels limit.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError) as refused:
        decode(path)
    again = pickle.loads(pickle.dumps(refused.value))
    assert refused.value.kind == again.kind == kind
    assert (again.message, again.hint) == (refused.value.message, refused.value.hint)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (OSError(errno.EIO, "Input/output error"), "unreadable"),
        (OSError(errno.EMFILE, "Too many open files"), "unreadable"),
        (ImportError("libwebp.so.7: cannot open shared object file"), "unreadable"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "no-memory"),
        (MemoryError(), "no-memory"),
        (OSError(errno.EINVAL, "Invalid argument"), "damaged"),
        (OSError("broken data stream"), "damaged"),
    ],
)
def test_what_the_machine_fails_at_is_not_called_the_pictures_damage(
    raised: Exception, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(decoder, "check_structure", fail)
    with pytest.raises(ImageError) as refused:
        decode(WHOLE["png"], name="x.png")
    assert refused.value.kind == kind and refused.value.message.startswith("x.png") and refused.value.hint


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as refused:
        decode(tmp_path)
    assert refused.value.kind == "no-file"


def test_a_truncated_pil_image_is_refused() -> None:
    with Image.open(BytesIO(WHOLE["jpeg"][:-500])) as image, pytest.raises(ImageError, match="PIL image"):
        decode(image)


def test_no_more_of_pillow_is_loaded_than_the_file_needs() -> None:
    code = (
        "import sys; from edge_runtime import decode; from edge_runtime import ImageError\n"
        "decode(sys.stdin.buffer.read())\n"
        "try: decode(b'%!PS-Adobe-3.0 EPSF-3.0')\n"
        "except ImageError: pass\n"
        "print(*sorted(name for name in sys.modules if name.startswith('PIL.') and name.endswith('Plugin')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=WHOLE["jpeg-progressive"], capture_output=True, check=True
    )
    assert done.stdout.decode().split() == ["PIL.JpegImagePlugin"]


def test_refusals_change_no_warning_filter() -> None:
    before = list(warnings.filters)
    with pytest.raises(ImageError):
        decode(huge_headers()["vp8x"])
    assert warnings.filters == before
