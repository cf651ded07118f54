"""Embedded colour profiles: what is not sRGB becomes sRGB, what is stays, and an old contract looks at none."""

from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from PIL import Image, ImageCms, features

from edge_runtime import ImageError, Preprocessing, decode
from edge_runtime.images import colour
from edge_runtime.images.profiles import is_srgb, profile_of, rgb_profile

D65 = (0.3127, 0.329)
P3_COLOURS = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), D65)
ADOBE_COLOURS = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)
SRGB_COLOURS = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)
P3, ADOBE = rgb_profile(P3_COLOURS), rgb_profile(ADOBE_COLOURS, 563 / 256)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
BOTH = Preprocessing(32, 32, 32, "bilinear")


def picture() -> Image.Image:
    """Colours that sRGB and the wider spaces all have, in patches that a lossy format keeps."""
    levels = np.array([60, 130, 200], np.uint8)
    patches = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(3, 9, 3)
    return Image.fromarray(patches.repeat(16, 0).repeat(16, 1))


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(source: Any, **options: Any) -> NDArray[np.int16]:
    return np.asarray(decode(source, **options)).astype(np.int16)


def by_formula(image: Image.Image, colours: Any, gamma: float | None = None) -> NDArray[np.float64]:
    """[H, W, 3] of such a space -> sRGB by matrices alone: both are under D65, so nothing else comes into it."""

    def matrix(points: Any) -> NDArray[np.float64]:
        lights = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in points]).T
        return np.asarray(lights[:, :3] * np.linalg.solve(lights[:, :3], lights[:, 3]))

    values = np.asarray(image) / 255
    light = values**gamma if gamma else np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    found = (light @ (np.linalg.inv(matrix(SRGB_COLOURS)) @ matrix(colours)).T).clip(0, 1)
    return np.asarray(255 * np.where(found <= 0.0031308, found * 12.92, 1.055 * found ** (1 / 2.4) - 0.055))


LOSSLESS = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize(("profile", "colours", "gamma"), [(P3, P3_COLOURS, None), (ADOBE, ADOBE_COLOURS, 563 / 256)])
def test_wide_colours_become_srgb(kind: str, profile: bytes, colours: Any, gamma: float | None) -> None:
    data = encode(picture(), kind, icc_profile=profile, **LOSSLESS[kind])
    wanted = by_formula(picture(), colours, gamma)
    assert np.abs(wanted - np.asarray(picture())).max() > 15
    assert np.abs(pixels(data) - wanted).max() <= 2
    assert_array_equal(pixels(data, to_srgb=False), np.asarray(picture()))
    # What was applied is not applied again.
    assert_array_equal(pixels(decode(data)), pixels(data))


def test_a_jpegs_profile_is_applied_after_the_reduced_decode() -> None:
    large = picture().resize((1152, 384), Image.Resampling.NEAREST)
    data = encode(large, "JPEG", quality=95, subsampling=0, icc_profile=P3)
    reduced = decode(data, reduce_to_px=48)
    assert reduced.size == (288, 96)
    wanted = by_formula(decode(data, reduce_to_px=48, to_srgb=False), P3_COLOURS)
    assert np.abs(np.asarray(reduced) - wanted).max() <= 2


@pytest.mark.skipif(not features.check("avif"), reason="this build of Pillow has no AVIF")
def test_an_avif_is_converted_by_its_profile_or_its_numbers() -> None:
    exact = {"quality": 100, "subsampling": "4:4:4", "speed": 10}
    plain = encode(picture(), "AVIF", **exact)
    assert np.abs(pixels(plain) - np.asarray(picture())).max() <= 4
    wanted = by_formula(decode(plain), P3_COLOURS)
    assert np.abs(pixels(encode(picture(), "AVIF", icc_profile=P3, **exact)) - wanted).max() <= 2
    nclx = b"colrnclx" + struct.pack(">HH", 1, 13)
    assert nclx in plain
    as_p3 = plain.replace(nclx, b"colrnclx" + struct.pack(">HH", 12, 13))
    assert np.abs(pixels(as_p3) - wanted).max() <= 2
    assert_array_equal(pixels(as_p3, to_srgb=False), pixels(plain))
    hdr = plain.replace(nclx, b"colrnclx" + struct.pack(">HH", 9, 16))
    assert_array_equal(pixels(hdr), pixels(hdr, to_srgb=False))


def test_a_heic_is_converted_by_its_profile_or_its_numbers() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer, image = BytesIO(), picture()
    image.info["icc_profile"] = P3
    pillow_heif.from_pillow(image).save(buffer, quality=-1, chroma=444)
    wanted = by_formula(picture(), P3_COLOURS)
    assert np.abs(pixels(buffer.getvalue()) - wanted).max() <= 3
    buffer = BytesIO()
    pillow_heif.from_pillow(picture()).save(buffer, quality=-1, chroma=444, color_primaries=12)
    assert np.abs(pixels(buffer.getvalue()) - wanted).max() <= 3
    assert np.abs(pixels(buffer.getvalue(), to_srgb=False) - np.asarray(picture())).max() <= 2


def test_transparency_and_palettes_are_converted_before_they_are_composited() -> None:
    clear = picture().convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    alpha = np.asarray(clear)[..., 3:] / 255
    wanted = by_formula(picture(), P3_COLOURS) * alpha + np.array([10, 250, 30]) * (1 - alpha)
    found = pixels(encode(clear, icc_profile=P3), background=(10, 250, 30))
    assert np.abs(found - wanted).max() <= 3
    palette = encode(picture().quantize(27), icc_profile=P3)
    assert np.abs(pixels(palette) - by_formula(picture().quantize(27).convert("RGB"), P3_COLOURS)).max() <= 2


def grey_profile(gamma: float) -> bytes:
    """A grey profile of one power, put together as ICC.1 says."""
    whole = bytearray(rgb_profile(SRGB_COLOURS, gamma))
    whole[16:20] = b"GRAY"
    return bytes(whole).replace(b"rTRC", b"kTRC", 1)


def test_grey_profiles_are_applied_to_grey_pictures_of_any_depth() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (20, 1))
    light = (ramp / 255) ** 1.5
    wanted = 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    profile = grey_profile(1.5)
    wide = Image.fromarray(ramp.astype(np.uint16) * 257)
    for image in (
        Image.fromarray(ramp),
        wide,
        Image.merge("LA", [Image.fromarray(ramp), Image.new("L", (256, 20), 255)]),
    ):
        found = pixels(encode(image, icc_profile=profile))
        assert np.abs(found - wanted[..., None]).max() <= 2
    # A grey picture may stand in a file that names a profile of colours; it means nothing there.
    assert_array_equal(pixels(encode(Image.fromarray(ramp), icc_profile=P3))[..., 0], ramp)
    assert_array_equal(pixels(encode(picture(), icc_profile=profile)), np.asarray(picture()))


def cmyk_profile() -> bytes:
    """A printer's profile in little: a table of two points an ink, in which each ink takes away its colour's light."""
    table = b""
    for inks in np.ndindex(2, 2, 2, 2):
        light = np.array([1 - ink for ink in inks[:3]]) * (1 - inks[3])
        lab = ImageCms.applyTransform(Image.fromarray((light * 255).astype(np.uint8).reshape(1, 1, 3)), TO_LAB)
        table += bytes(byte ^ flip for byte, flip in zip(lab.tobytes(), (0, 128, 128), strict=True))
    identity = b"".join(struct.pack(">i", 65536 * (at % 4 == 0)) for at in range(9))
    ramps = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramps * 4 + table + ramps * 3
    start = 128 + 4 + 12
    body = struct.pack(">I4sII", 1, b"A2B0", start, len(lut)) + lut
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), b"", 0x02400000, b"prtr", b"CMYK", b"Lab ") + bytes(12) + b"acsp"
    white = struct.pack(">iii", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    return (head + bytes(28) + white).ljust(128, b"\0") + body


TO_LAB = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB", 1)


def test_cmyk_is_converted_by_its_printers_profile() -> None:
    profile = cmyk_profile()
    inks = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255)]
    for kind in ("TIFF", "JPEG"):
        image = Image.new("CMYK", (64, 16))
        for column, ink in enumerate(inks):
            image.paste(ink, (16 * column, 0, 16 * column + 16, 16))
        options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
        found = pixels(encode(image, kind, icc_profile=profile, **options))[8, 8::16]
        assert np.abs(found - [[255, 255, 255], [0, 255, 255], [255, 0, 0], [0, 0, 0]]).max() <= 12
        half = encode(Image.new("CMYK", (16, 16), (0, 0, 0, 128)), kind, icc_profile=profile, **options)
        # By formula half the ink is half the number; by the table it is half the lightness, which is less light.
        assert np.abs(pixels(half, to_srgb=False) - 127).max() <= 2
        assert np.abs(pixels(half) - 119).max() <= 3


def test_srgb_under_any_name_stays_as_it_is_and_costs_no_import() -> None:
    table = np.arange(1024) / 1023
    light = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
    curve = b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *np.rint(light * 65535).astype(int))
    ours = rgb_profile(SRGB_COLOURS)
    start = ours.index(b"para")
    tabled = ours[:start] + curve
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        at = tabled.index(name)
        tabled = tabled[: at + 4] + struct.pack(">II", start, len(curve)) + tabled[at + 12 :]
    assert all(is_srgb(profile) for profile in (SRGB, ours, tabled))
    assert not any(is_srgb(profile) for profile in (P3, ADOBE, rgb_profile(SRGB_COLOURS, 2.2), b"", bytes(200)))
    for profile in (SRGB, ours, tabled):
        assert_array_equal(pixels(encode(picture(), icc_profile=profile)), np.asarray(picture()))
    code = (
        "import sys; from edge_runtime import decode; decode(sys.stdin.buffer.read());"
        "assert ('PIL.ImageCms' in sys.modules) is (sys.argv[1] == 'p3')"
    )
    for name, profile in (("srgb", SRGB), ("p3", P3)):
        data = encode(picture(), icc_profile=profile)
        subprocess.run([sys.executable, "-c", code, name], input=data, check=True)


@pytest.mark.parametrize(
    "profile",
    [b"x", bytes(500), P3[:200], P3[:16] + b"GRAY" + P3[20:], P3.replace(b"para", b"quux"), P3[:128] + b"\xff" * 300],
)
def test_a_broken_profile_is_ignored(profile: bytes) -> None:
    assert_array_equal(pixels(encode(picture(), icc_profile=profile)), np.asarray(picture()))


def test_an_old_contract_looks_at_no_profile_bit_for_bit() -> None:
    data = encode(picture(), icc_profile=P3)
    old = replace(BOTH, to_srgb=False)
    assert_array_equal(old(data), old(encode(picture())))
    assert not np.array_equal(BOTH(data), old(data))
    assert_array_equal(BOTH(encode(picture())), old(encode(picture())))


def test_a_pil_image_is_converted_and_left_as_it_was() -> None:
    image = Image.open(BytesIO(encode(picture(), icc_profile=P3)))
    assert np.abs(pixels(image) - by_formula(picture(), P3_COLOURS)).max() <= 2
    assert_array_equal(np.asarray(image), np.asarray(picture()))
    assert image.info["icc_profile"] == P3


def test_the_transforms_that_are_kept_are_few() -> None:
    for step in range(40):
        pixels(encode(picture(), icc_profile=rgb_profile(SRGB_COLOURS, 1.2 + step / 40)))
    assert colour._converter.cache_info().currsize <= 16


def test_a_pillow_without_littlecms_says_so_of_a_picture_that_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ImportError("The _imagingcms C module is not installed")

    colour._converter.cache_clear()
    monkeypatch.setattr(ImageCms, "ImageCmsProfile", missing)
    with pytest.raises(ImageError, match="colour profile, which this build of Pillow cannot convert") as refused:
        decode(encode(picture(), icc_profile=P3))
    assert refused.value.kind == "not-supported" and "wheel" in refused.value.hint
    assert_array_equal(pixels(encode(picture(), icc_profile=SRGB)), np.asarray(picture()))


def test_the_numbers_of_a_stream_that_mean_srgb_need_no_profile() -> None:
    assert [profile_of(nclx) for nclx in ((1, 13), (2, 2), (1, 1), (0, 0), (9, 16), (9, 18), (77, 13))] == [None] * 7
    assert profile_of((12, 13)) == P3
    assert profile_of((1, 4)) == rgb_profile(SRGB_COLOURS, 2.2)
