"""What comes out of `decode`: the right pixels, upright, from every kind of image people have."""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.testing import assert_array_equal
from PIL import Image, TiffImagePlugin

from edge_runtime import decode

if TYPE_CHECKING:
    from pathlib import Path

ORIENTATION = 0x0112
WHITE = (255, 255, 255)
ORANGE = (250, 120, 10)


def picture(width: int = 37, height: int = 23) -> Image.Image:
    """A picture that no turn or flip maps onto itself, with few enough colours for a palette."""
    y, x = np.mgrid[:height, :width]
    red, green, blue = x // 8 * 40 % 256, y // 6 * 60 % 256, (x // 8 * 3 + y // 6 * 5) * 12 % 256
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(size: tuple[int, int], depth: int, colour: int, rows: list[bytes], *extra: bytes) -> bytes:
    """A PNG of samples already packed, for the depths Pillow does not write."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def tiff(size: tuple[int, int], bits: int, photometric: int, data: bytes, **tags: int) -> bytes:
    """A grey TIFF in one strip whose directory is the last thing in the file."""
    entries = {256: size[0], 257: size[1], 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: size[1]}
    entries |= {279: len(data)} | {int(tag[1:]): value for tag, value in tags.items()}
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, entries[tag]) for tag in sorted(entries))
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + struct.pack("<H", len(entries)) + packed + bytes(4)


def pixels(source: Any, **options: Any) -> np.ndarray[Any, Any]:
    image = decode(source, **options)
    assert image.mode == "RGB"
    assert image.size[::-1] == np.asarray(image).shape[:2]
    return np.asarray(image)


LOSSLESS = {
    "png": ("PNG", {}),
    "bmp": ("BMP", {}),
    "webp": ("WEBP", {"lossless": True}),
    "tiff": ("TIFF", {}),
    "tiff-lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff-deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "bigtiff": ("TIFF", {"big_tiff": True}),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_give_their_pixels_whatever_the_suffix(name: str, tmp_path: Path) -> None:
    kind, options = LOSSLESS[name]
    path = tmp_path / "holiday.JPG"
    path.write_bytes(encode(picture(), kind, **options))
    assert_array_equal(pixels(path), np.asarray(picture()))
    # A plugin's own object would keep the file's bytes and its decoder alive.
    assert type(decode(path)) is Image.Image


def test_gif_and_jpeg_give_what_pillow_gives() -> None:
    for kind, image in (("GIF", picture().quantize(32)), ("JPEG", picture()), ("JPEG", picture().convert("L"))):
        data = encode(image, kind)
        assert_array_equal(pixels(data), np.asarray(Image.open(BytesIO(data)).convert("RGB")))


def test_every_kind_of_source_gives_the_same_pixels(tmp_path: Path) -> None:
    data = encode(picture(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    strided = memoryview(bytes(byte for one in data for byte in (one, 0)))[::2]
    for source in (str(path), path, data, bytearray(data), memoryview(data), strided, picture()):
        assert_array_equal(pixels(source), np.asarray(picture()))


TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("name", ["jpeg", *(name for name in LOSSLESS if name != "bmp")])
@pytest.mark.parametrize("orientation", TURNED)
def test_orientation_is_applied_once(name: str, orientation: int) -> None:
    kind, options = LOSSLESS.get(name, ("JPEG", {}))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encode(picture(), kind, exif=exif, **options)
    upright = TURNED[orientation](pixels(encode(picture(), kind, **options)))
    assert_array_equal(pixels(data), upright)
    assert_array_equal(pixels(Image.open(BytesIO(data))), upright)
    assert_array_equal(pixels(decode(data)), upright)


def test_orientation_after_a_pngs_pixels_is_applied() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    late = encode(picture(), "PNG").removesuffix(chunk(b"IEND", b""))
    late += chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + chunk(b"IEND", b"")
    assert_array_equal(pixels(late), TURNED[6](np.asarray(picture())))


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"\0"])
def test_broken_exif_is_ignored(exif: bytes) -> None:
    for kind, options in (("JPEG", {"dpi": (72, 72)}), ("PNG", {}), ("WEBP", {"lossless": True})):
        plain = pixels(encode(picture(), kind, **options))
        assert_array_equal(pixels(encode(picture(), kind, exif=exif, **options)), plain)


def half_clear() -> Image.Image:
    """Opaque on the left, clear on the right where a colour is hidden, half-clear in the middle."""
    array = np.zeros((6, 9, 4), np.uint8)
    array[..., :3] = (0, 200, 40)
    array[:, :3, 3], array[:, 3:6, 3] = 255, 128
    array[:, 6:, :3] = (255, 0, 255)
    return Image.fromarray(array)


def over(image: Image.Image, background: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    straight = image.convert("LA") if image.mode == "La" else image
    rgba = np.asarray(straight.convert("RGBA")).astype(float)
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + np.array(background) * (1 - alpha)


@pytest.mark.parametrize("background", [WHITE, ORANGE])
@pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA", "La"])
def test_transparent_modes_are_composited(mode: str, background: tuple[int, int, int]) -> None:
    image = half_clear().convert("LA").convert("La") if mode == "La" else half_clear().convert(mode)
    assert np.abs(pixels(image, background=background) - over(image, background)).max() <= 0.5


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparent_files_are_composited(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(half_clear(), kind, **options)
    assert np.abs(pixels(data, background=ORANGE) - over(half_clear(), ORANGE)).max() <= 0.5
    assert_array_equal(pixels(data)[:, 6:], 255)


def test_palettes_with_alpha_are_composited_and_left_alone() -> None:
    palette = Image.new("P", (3, 1))
    palette.putpalette([0, 0, 0, 250, 0, 0, 0, 250, 0])
    palette.putdata([0, 1, 2])
    expected = [[(0, 0, 0), ORANGE, (0, 250, 0)]]
    for kind, transparency in (("PNG", 1), ("GIF", 1), ("PNG", b"\xff\0\xff")):
        data = encode(palette, kind, transparency=transparency)
        assert_array_equal(pixels(data, background=ORANGE), expected)
        opened = Image.open(BytesIO(data))
        opened.load()
        before = opened.copy()
        assert_array_equal(pixels(opened, background=ORANGE), expected)
        assert opened.tobytes() == before.tobytes()
        assert opened.info == before.info
        assert opened.im.getpalette("RGBA", "RGBA") == before.im.getpalette("RGBA", "RGBA")
    with_alpha = palette.convert("PA")
    with_alpha.putalpha(Image.frombytes("L", (3, 1), b"\xff\0\xff"))
    assert_array_equal(pixels(with_alpha, background=ORANGE), expected)


@pytest.mark.parametrize(
    ("depth", "colour", "row", "key", "expected"),
    [
        (1, 0, b"\x40", (1,), [0, ORANGE, 0]),
        (2, 0, b"\x18", (1,), [0, ORANGE, 170]),
        (4, 0, b"\x05\xf0", (5,), [0, ORANGE, 255]),
        (8, 0, b"\x00\x05\xff", (5,), [0, ORANGE, 255]),
        (16, 0, struct.pack(">3H", 0, 514, 515), (514,), [0, ORANGE, 2]),
        (8, 2, bytes([1, 1, 1, 9, 8, 7, 255, 0, 255]), (9, 8, 7), [1, ORANGE, (255, 0, 255)]),
        (16, 2, bytes([1, 0] * 3 + [9, 0, 8, 0, 7, 0] + [255] * 6), (2304, 2048, 1792), [1, ORANGE, 255]),
    ],
)  # fmt: skip
def test_a_pngs_transparent_colour_is_composited(
    depth: int, colour: int, row: bytes, key: tuple[int, ...], expected: list[Any]
) -> None:
    data = png((3, 1), depth, colour, [row], chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)))
    wanted = [[value if isinstance(value, tuple) else (value,) * 3 for value in expected]]
    assert_array_equal(pixels(data, background=ORANGE), wanted)


def test_16_bit_alpha_is_composited() -> None:
    grey = png((2, 1), 16, 4, [struct.pack(">4H", 0x8000, 0xFFFF, 0x1234, 0)])
    assert_array_equal(pixels(grey, background=ORANGE), [[(128,) * 3, ORANGE]])
    colour = png((2, 1), 16, 6, [struct.pack(">8H", 0x8000, 0, 0xFF00, 0xFFFF, 1, 2, 3, 0)])
    assert_array_equal(pixels(colour, background=ORANGE), [[(128, 0, 255), ORANGE]])


RAMP = np.arange(0, 65536, 13, dtype=np.uint16).reshape(1, -1)


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    expected = np.repeat(((RAMP.astype(int) + 128) // 257)[..., None], 3, axis=-1)
    little = Image.fromarray(RAMP)
    big = Image.frombytes("I;16B", little.size, RAMP.astype(">u2").tobytes())
    for image in (little, big, Image.frombytes("I;16L", little.size, RAMP.astype("<u2").tobytes())):
        assert_array_equal(pixels(image), expected)
    for kind in ("PNG", "TIFF"):
        assert_array_equal(pixels(encode(little, kind)), expected)
    assert_array_equal(pixels(encode(little, "TIFF", compression="tiff_lzw")), expected)
    inverted = tiff(little.size, 16, 0, RAMP.astype("<u2").tobytes())
    assert_array_equal(pixels(inverted), 255 - expected)
    # Dark, but said to be of 16 bits by its file: it stays dark.
    assert pixels(encode(Image.fromarray(RAMP // 300), "PNG")).max() == 1


def test_12_bit_grey_is_scaled_by_its_own_white() -> None:
    assert_array_equal(
        pixels(tiff((2, 2), 12, 1, bytes.fromhex("000fff800001"))), [[[0] * 3, [255] * 3], [[128] * 3, [0] * 3]]
    )


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 0.5, 1.5, 200.0], [0, 0, 2, 200]),
        ([0.0, 257.0, 65535.0], [0, 1, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([0.0, 1e6, 2e6], [0, 128, 255]),
        ([float("nan"), float("inf"), float("-inf"), 1.0], [0, 0, 0, 255]),
        ([-7.0, -7.0], [0, 0]),
        ([1e38, -1e38, 0.0], [255, 0, 128]),
        ([0, 1, 200], [0, 1, 200]),
        ([0, 257, 65535], [0, 1, 255]),
        ([-(2**31), 0, 2**31 - 1], [0, 128, 255]),
    ],
)
def test_32_bit_samples_follow_their_range(samples: list[float], expected: list[int]) -> None:
    dtype = np.int32 if all(isinstance(sample, int) for sample in samples) else np.float32
    image = Image.fromarray(np.array([samples], dtype))
    assert_array_equal(pixels(image)[0, :, 0], expected)
    assert_array_equal(pixels(encode(image, "TIFF"))[0, :, 0], expected)


@given(size=st.tuples(st.integers(1, 40), st.integers(1, 150)), seed=st.integers(0, 2**32 - 1), big=st.booleans())
@settings(max_examples=30)
def test_no_sample_of_any_16_bit_image_is_off_by_more_than_its_rounding(
    size: tuple[int, int], seed: int, big: bool
) -> None:
    samples = np.random.default_rng(seed).integers(0, 65536, size[::-1], np.uint16)
    image = Image.frombytes("I;16B" if big else "I;16", size, samples.astype(">u2" if big else "<u2").tobytes())
    assert np.abs(pixels(image)[..., 1] - samples / 257).max() <= 0.5


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "RGBX"])
def test_other_colour_spaces_are_converted(mode: str) -> None:
    image = picture().convert(mode)
    assert_array_equal(pixels(image), np.asarray(image.convert("RGB")))
    if mode not in ("HSV", "RGBX"):
        kind = "PNG" if mode in ("1", "L", "P") else "TIFF"
        assert np.abs(pixels(encode(image, kind)).astype(int) - pixels(image)).mean() < 2


def test_cmyk_jpegs_are_not_inverted() -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(pixels(encode(red, "JPEG")).astype(int) - (255, 0, 0)).max() < 8


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    first, second = Image.new("RGB", (16, 16), (250, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 250))
    data = encode(first, kind, save_all=True, append_images=[second])
    assert Image.open(BytesIO(data)).n_frames == 2  # type: ignore[attr-defined]
    assert np.abs(pixels(data).astype(int) - (250, 0, 0)).max() < 8


def test_float_files_with_signalling_nans_are_read() -> None:
    image = Image.frombytes("F", (2, 1), struct.pack("<II", 0x7F800001, 0x3F800000))
    assert_array_equal(pixels(image)[0, :, 0], [0, 255])


@given(
    mode=st.sampled_from(["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"]),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    orientation=st.integers(0, 9),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_a_pil_image_is_never_modified(mode: str, size: tuple[int, int], orientation: int, seed: int) -> None:
    length = len(Image.new(mode, size).tobytes())
    image = Image.frombytes(mode, size, np.random.default_rng(seed).bytes(length))
    image.getexif()[ORIENTATION] = orientation
    image.info["comment"] = "mine"
    before, info = image.copy(), dict(image.info)
    decoded = decode(image)
    assert decoded.mode == "RGB"
    assert decoded.size == (size[::-1] if orientation in (5, 6, 7, 8) else size)
    decoded.paste((1, 2, 3), (0, 0, *decoded.size))
    assert (image.mode, image.size, image.info, image.getexif()[ORIENTATION]) == (mode, size, info, orientation)
    assert image.tobytes() == before.tobytes()


def photo(width: int, height: int) -> Image.Image:
    """Smooth shapes with edges and some noise, of what a camera's picture has in detail."""
    y, x = np.mgrid[:height, :width] / max(width, height)
    grey = 120 + 60 * np.sin(9 * x + 4 * y) + 40 * np.cos(23 * y * x) + 30 * ((x - 0.4) ** 2 + (y - 0.3) ** 2 < 0.03)
    grey = grey[..., None] * (1.0, 0.8, 0.6) + np.random.default_rng(0).normal(0, 2, (height, width, 1))
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8))


def test_large_jpegs_are_reduced_and_hardly_differ() -> None:
    data = encode(photo(2048, 1536), "JPEG", quality=90)
    for wanted, expected in (
        (96, (256, 192)),
        (97, (512, 384)),
        (192, (512, 384)),
        (256, (1024, 768)),
        (400, (2048, 1536)),
    ):
        assert decode(data, reduce_to_px=wanted).size == expected
    full = decode(data).resize((341, 256), Image.Resampling.BILINEAR)
    reduced = decode(data, reduce_to_px=256).resize((341, 256), Image.Resampling.BILINEAR)
    difference = np.abs(np.asarray(full).astype(int) - np.asarray(reduced))
    assert difference.mean() <= 0.6
    assert difference.max() <= 17


def test_reduction_keeps_the_geometry() -> None:
    # 1/2 of an odd side would be rounded up, and the picture stretched.
    assert decode(encode(photo(1001, 800), "JPEG"), reduce_to_px=64).size == (1001, 800)
    assert decode(encode(photo(1004, 804), "JPEG"), reduce_to_px=64).size == (251, 201)
    assert decode(encode(photo(1024, 800), "PNG"), reduce_to_px=64).size == (1024, 800)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    assert decode(encode(photo(1024, 768), "JPEG", exif=exif), reduce_to_px=48).size == (96, 128)


def test_threads_get_the_same_pixels() -> None:
    sources = [encode(picture(90, 70), kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")] * 8
    alone = [pixels(source) for source in sources]
    with ThreadPoolExecutor(8) as pool:
        for together, expected in zip(pool.map(pixels, sources), alone, strict=True):
            assert_array_equal(together, expected)


def test_no_state_of_pillow_is_changed() -> None:
    limit, libtiff = Image.MAX_IMAGE_PIXELS, TiffImagePlugin.READ_LIBTIFF
    decode(encode(picture(), "TIFF"))
    assert (limit, libtiff) == (Image.MAX_IMAGE_PIXELS, TiffImagePlugin.READ_LIBTIFF)
