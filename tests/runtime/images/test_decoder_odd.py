"""Odd pictures that must come out right, odd files that must be refused in one line, nothing to be waited for."""

from __future__ import annotations

import os
import struct
import threading
import time
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from edge_runtime import ImageError, Preprocessing, decode
from edge_runtime.images import decoder, modes

posix = pytest.mark.skipif(os.name != "posix", reason="there are none")
KINDS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
CONTRACT = Preprocessing(resize_px=48, height_px=40, width_px=40, interpolation="bilinear")


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width: int = 60, height: int = 45) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))


def refused(source: Any, **options: Any) -> ImageError:
    """The error that `decode` gives; it is one line, and says what to do."""
    with pytest.raises(ImageError) as caught:
        decode(source, **options)
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


# Odd colours


def ycck(cyan_to_key: tuple[int, int, int, int]) -> bytes:
    """A JPEG as Photoshop writes CMYK: stored inverted, cyan, magenta and yellow as luma and chroma."""
    red, green, blue = (value for value in cyan_to_key[:3])
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = 128 + 0.564 * (blue - luma), 128 + 0.713 * (red - luma)
    # libjpeg turns Y, Cb and Cr into red, green and blue and calls 255 less those cyan, magenta and yellow. Pillow
    # inverts what it writes and what it reads.
    stored = [255 - min(255, max(0, round(value))) for value in (luma, *chroma)] + [cyan_to_key[3]]
    data = encode(Image.new("CMYK", (32, 24), tuple(stored)), "JPEG", quality=100)
    marker = data.index(b"Adobe\0")
    return data[: marker + 11] + b"\2" + data[marker + 12 :]


@pytest.mark.parametrize(
    ("inks", "expected"),
    [
        ((0, 255, 255, 0), (255, 0, 0)),
        ((255, 0, 255, 0), (0, 255, 0)),
        ((255, 255, 0, 0), (0, 0, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((0, 0, 0, 0), (255, 255, 255)),
    ],
)
def test_cmyk_and_ycck_jpegs_have_their_colours(
    inks: tuple[int, int, int, int], expected: tuple[int, int, int]
) -> None:
    plain = encode(Image.new("CMYK", (32, 24), inks), "JPEG", quality=100)
    assert b"Adobe\0" in plain
    for data in (plain, ycck(inks)):
        pixels = np.asarray(decode(data)).astype(int)
        assert np.abs(pixels - expected).max() <= 6, pixels[0, 0]


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_files_of_grey_with_alpha_are_composited(kind: str, options: dict[str, Any]) -> None:
    image = Image.merge("LA", (Image.new("L", (3, 1), 90), Image.frombytes("L", (3, 1), b"\xff\x80\0")))
    pixels = np.asarray(decode(encode(image, kind, **options), background=(10, 10, 10)))
    assert_array_equal(pixels[0, :, 0], [90, 50, 10])


def test_a_bitmap_of_one_bit_is_black_and_white_in_every_format() -> None:
    checks = Image.fromarray(np.indices((8, 8)).sum(axis=0) % 2 == 0)
    assert checks.mode == "1"
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        assert_array_equal(np.asarray(decode(encode(checks, kind)))[:2, :2, 0], [[255, 0], [0, 255]])


def test_a_progressive_jpeg_is_the_baseline_one() -> None:
    image = noise().resize((240, 180), Image.Resampling.BICUBIC)
    assert_array_equal(
        np.asarray(decode(encode(image, "JPEG", progressive=True))), np.asarray(decode(encode(image, "JPEG")))
    )


def test_an_animated_png_without_a_picture_of_its_own_gives_its_first_frame() -> None:
    first, second = Image.new("RGB", (9, 5), (200, 0, 0)), Image.new("RGB", (9, 5), (0, 0, 200))
    for options in ({}, {"default_image": True}):
        data = encode(first, "PNG", save_all=True, append_images=[second, second], **options)
        assert decode(data).getpixel((0, 0)) == (200, 0, 0)


# Odd shapes


@pytest.mark.parametrize("kind", KINDS)
def test_one_pixel_fills_the_whole_input(kind: str) -> None:
    pixels = CONTRACT(encode(Image.new("RGB", (1, 1), (200, 100, 50)), kind))
    assert pixels.shape == (40, 40, 3)
    assert np.abs(pixels.astype(int) - (200, 100, 50)).max() <= 4


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000)])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "WEBP"])
def test_a_line_of_20000_pixels_is_a_picture(kind: str, size: tuple[int, int]) -> None:
    line = Image.new("RGB", size, (30, 160, 90))
    data = encode(line, kind)
    assert decode(data).size == size
    assert np.abs(CONTRACT(data).astype(int) - (30, 160, 90)).max() <= 4


WIDE = {
    "float": Image.fromarray(np.linspace(-3, 9, 300 * 200, dtype=np.float32).reshape(200, 300)),
    "int": Image.fromarray(np.arange(300 * 200, dtype=np.int32).reshape(200, 300) * 7),
    "16 bit": Image.fromarray((np.arange(300 * 200) % 65536).astype(np.uint16).reshape(200, 300)),
}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "La", "P", "CMYK", "1", *WIDE])
def test_a_large_picture_is_converted_in_parts_that_do_not_show(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clear = noise(300, 200).convert("RGBA")
    clear.putalpha(clear.getchannel("G"))
    if mode in WIDE:
        image = WIDE[mode]
    elif mode == "La":
        image = clear.convert("LA").convert("La")
    else:
        image = clear.quantize(200) if mode == "P" else clear.convert(mode)
    if mode == "P":
        image.info["transparency"] = 7
    whole = np.asarray(decode(image, background=(9, 200, 30)))
    for pixels in (1, 300 * 7, 300 * 199):
        monkeypatch.setattr(modes, "_BAND_PIXELS", pixels)
        assert_array_equal(np.asarray(decode(image, background=(9, 200, 30))), whole)


# Odd names


@pytest.mark.parametrize(
    "name", ["ameise 🐜 蚂蚁.jpg", "grüße.JPG", "a" * 251 + ".jpg", "-rf.jpg", " .jpg", "%s{0}.jpg", "ё" * 120 + ".jpg"]
)
def test_any_name_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(encode(noise(), "PNG"))
    assert_array_equal(np.asarray(decode(tmp_path / name)), np.asarray(noise()))
    (tmp_path / name).write_bytes(b"text")
    assert name in refused(tmp_path / name).message


@posix
@pytest.mark.parametrize(
    ("name", "shown"), [("two\nlines.jpg", "two\\nlines.jpg"), ("\x1b[2Jgone.jpg", "\\x1b[2Jgone.jpg")]
)
def test_a_name_cannot_break_the_line_nor_command_the_terminal(name: str, shown: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(encode(noise(), "PNG"))
    assert decode(tmp_path / name).size == (60, 45)
    (tmp_path / name).write_bytes(b"text")
    assert shown in refused(tmp_path / name).message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_another_users_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(encode(noise(), "PNG"))
    path.chmod(0o600)
    os.seteuid(65534)
    try:
        with pytest.raises(ImageError, match="may not be read") as caught:
            decode(path)
    finally:
        os.seteuid(0)
    assert str(path) in caught.value.message


# Files that never end, that grow, that change


@posix
@pytest.mark.timeout(20)
def test_an_endless_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    assert "not a regular file" in refused("/dev/zero").message
    path = tmp_path / "x.jpg"
    for kind in KINDS:
        path.write_bytes(encode(noise(), kind))
        try:
            os.truncate(path, 1 << 40)
        except OSError:
            pytest.skip("no sparse files here")
        assert "x.jpg has 1,099,512 MB; the limit is 320 MB" in refused(path).message


@pytest.mark.timeout(60)
def test_a_file_that_grows_is_refused_until_it_is_whole(tmp_path: Path) -> None:
    data = encode(noise(400, 300), "JPEG", quality=95)
    whole = np.asarray(decode(data))
    path = tmp_path / "arriving.jpg"
    path.touch()

    def arrive() -> None:
        with path.open("ab", buffering=0) as file:
            for start in range(0, len(data), len(data) // 40):
                file.write(data[start : start + len(data) // 40])
                time.sleep(0.003)

    writer = threading.Thread(target=arrive)
    writer.start()
    refusals = 0
    while writer.is_alive():
        try:
            assert_array_equal(np.asarray(decode(path)), whole)
        except ImageError as error:
            refusals += 1
            assert "arriving.jpg" in error.message
    writer.join()
    assert refusals
    assert_array_equal(np.asarray(decode(path)), whole)


@posix
@pytest.mark.timeout(60)
def test_a_name_that_becomes_a_pipe_meanwhile_is_not_waited_for(tmp_path: Path) -> None:
    path, pipe, file = tmp_path / "x.png", tmp_path / "pipe", tmp_path / "file"
    path.write_bytes(encode(noise(), "PNG"))
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.mkfifo(pipe)
            pipe.replace(path)
            file.write_bytes(encode(noise(), "PNG"))
            file.replace(path)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(2000):
            try:
                assert decode(path).size == (60, 45)
            except ImageError as error:
                assert "not a regular file" in error.message
    finally:
        stop.set()
        swapper.join()


def test_an_opened_pipe_is_refused_even_if_its_name_was_a_file_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.name != "posix":
        pytest.skip("there are none")
    pipe, file = tmp_path / "x.png", tmp_path / "file.png"
    file.write_bytes(encode(noise(), "PNG"))
    os.mkfifo(pipe)
    before = file.stat()
    monkeypatch.setattr(decoder.os, "stat", lambda _: before)
    assert "not a regular file" in refused(pipe).message


# Small files that would take minutes


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def first_block(gif: bytes) -> int:
    """Where a GIF's first block begins: after its header and the palette that there may be."""
    return 13 + (3 << (gif[10] & 7) + 1 if gif[10] & 0x80 else 0)


def many_scans(width: int, height: int, scans: int) -> bytes:
    """A progressive JPEG that refines nothing, again and again, in a few bytes each time."""
    data = encode(Image.new("L", (width, height), 128), "JPEG", progressive=True, quality=50)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def slow_files() -> dict[str, tuple[bytes, str]]:
    jpeg, png, gif = (encode(noise(), kind) for kind in ("JPEG", "PNG", "GIF"))
    tiny = chunk(b"prVt", b"")
    comment = b"!\xfe" + b"\1a" * 2_000_000 + b"\0"
    at = first_block(gif)
    tags = struct.pack("<HHQQ", 60_000, 1, 1, 0) * 70_000
    big_tiff = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 70_000) + tags + bytes(8)
    strips = struct.pack("<HHII", 273, 4, 1 << 20, 8) + struct.pack("<HHII", 279, 4, 1 << 20, 8)
    return {
        "junk between markers": (jpeg[:20] + bytes(20_000_000) + jpeg[20:], "junk"),
        "fill between markers": (jpeg[:2] + b"\xff" * 20_000_000 + jpeg[2:], "junk"),
        "a header of 20 MB": (jpeg[:2] + (b"\xff\xe1\xff\xffExif\0\0" + bytes(65_527)) * 310 + jpeg[2:], "header"),
        "thousands of scans": (many_scans(6000, 6000, 3000), "scans"),
        "a million chunks": (png[:33] + tiny * 1_000_000 + png[33:], "chunks"),
        "70 MB of text": (png[:33] + chunk(b"tEXt", b"a\0" + bytes(70_000_000)) + png[33:], "MB beside its pixels"),
        "two million comments": (gif[:at] + comment + gif[at:], "before its first picture"),
        "70,000 tags": (big_tiff, "tags"),
        "a million strips": (struct.pack("<2sHIH", b"II", 42, 8, 2) + strips + bytes(4), "strips"),
    }


# Refused in seconds; without the bounds one of them alone would take longer.
@pytest.mark.timeout(240)
def test_a_file_that_would_keep_pillow_busy_for_minutes_is_refused_at_once() -> None:
    for name, (data, said) in slow_files().items():
        assert said in refused(data).message, name


def test_what_lies_below_those_bounds_is_read() -> None:
    jpeg, png, gif = (encode(noise(), kind) for kind in ("JPEG", "PNG", "GIF"))
    at = first_block(gif)
    for data, changed in (
        (jpeg, jpeg[:2] + b"\xff\xfe\0\6note" + b"\xff\xff\xff" + jpeg[2:]),
        (jpeg, jpeg[:2] + (b"\xff\xe5\xff\xff" + bytes(65_533)) * 20 + jpeg[2:]),
        (png, png[:33] + chunk(b"prVt", b"") * 500 + png[33:]),
        (gif, gif[:at] + b"!\xfe" + b"\4note" * 100 + b"\0" + gif[at:]),
    ):
        assert_array_equal(np.asarray(decode(changed)), np.asarray(decode(data)))
    assert decode(many_scans(60, 40, 30)).size == (60, 40)
