"""AVIF and HEIC keep the promises of the other formats: limits, cuts, turning, depth, alpha; JPEG XL is named."""

from __future__ import annotations

import struct
import subprocess
import sys
from base64 import b64decode
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image, features

from edge_runtime import ImageError, decode
from edge_runtime.images import decoder
from edge_runtime.images.boxes import read_coded_picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

pytestmark = pytest.mark.skipif(not features.check("avif"), reason="this build of Pillow has no AVIF")
try:
    import pillow_heif
except ImportError:
    pillow_heif = None
with_heic = pytest.mark.skipif(pillow_heif is None, reason="pillow-heif is not installed")

ORIENTATION = 0x0112
KINDS = ["AVIF", pytest.param("HEIC", marks=with_heic)]


def picture(width: int = 64, height: int = 48) -> Image.Image:
    """A picture that looks different however it is turned."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 3, y * 4, x + y], -1).clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """A file whose colours are those of `image`, as near as the format comes."""
    buffer = BytesIO()
    if kind == "AVIF":
        image.save(buffer, "AVIF", quality=100, subsampling="4:4:4", speed=10, **options)
    else:
        pillow_heif.from_pillow(image).save(buffer, quality=-1, chroma=444, **options)
    return buffer.getvalue()


def pixels(data: bytes, **options: Any) -> NDArray[np.int16]:
    return np.asarray(decode(data, **options)).astype(np.int16)


def distance(data: bytes, wanted: Image.Image) -> int:
    return int(np.abs(pixels(data) - np.asarray(wanted.convert("RGB"))).max())


def refusal(data: bytes, **options: Any) -> ImageError:
    with pytest.raises(ImageError) as refused:
        decode(data, **options)
    return refused.value


@pytest.mark.parametrize("kind", KINDS)
def test_colours_and_greys_are_those_of_the_picture(kind: str) -> None:
    assert distance(encode(picture(), kind), picture()) <= 3
    assert distance(encode(picture().convert("L"), kind), picture().convert("L")) <= 3
    assert type(decode(encode(picture(), kind))) is Image.Image


TURNS: dict[int, Callable[[Any], Any]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


def with_exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", TURNS)
def test_the_turn_is_made_once(kind: str, orientation: int) -> None:
    # The encoders write it both as EXIF and as the file's own boxes, or as these alone.
    data = encode(picture(), kind, exif=with_exif(orientation))
    assert b"irot" in data or b"imir" in data
    upright = TURNS[orientation](np.asarray(picture()).astype(np.int16))
    found = pixels(data)
    assert found.shape == upright.shape
    assert np.abs(found - upright).max() <= 3
    assert_array_equal(pixels(decode(data)), found)  # type: ignore[arg-type]


@with_heic
def test_a_turn_that_exif_alone_states_is_not_made() -> None:
    # ISO/IEC 23008-12: the file's own boxes say how it is shown.
    data = encode(picture(), "HEIC", exif=with_exif(6)).replace(b"irot", b"free")
    assert b"Exif" in data
    assert distance(data, picture()) <= 3


@with_heic
@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("grey", [False, True])
def test_wider_samples_are_scaled(bits: int, grey: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12)
    wide = np.asarray(picture().convert("L") if grey else picture()).astype(np.uint16) * 257
    buffer = BytesIO()
    pillow_heif.encode("L;16" if grey else "RGB;16", (64, 48), wide.tobytes(), buffer, quality=-1, chroma=444)
    coded = read_coded_picture(buffer, "HEIC", "x")
    assert coded.sample_bytes == 2
    wanted = picture().convert("L").convert("RGB") if grey else picture()
    assert distance(buffer.getvalue(), wanted) <= 2


# 16 × 16 pixels: red rises along x, green along y, and blue is red turned round. Pillow writes AVIF of 8 bits alone.
AVIF_10_BIT = b64decode(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAAAAAO"
    "cGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAkQAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAA"
    "AABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAEAAAABAAAAAQcGl4aQAAAAADCgoKAAAADGF2MUOBIEAAAAAAE2NvbHJuY2x4AAIAAgAA"
    "gAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAmW1kYXQSAAoIOAz/+cCAgCQyggEQAABx63Htd5jssezbjXpNjU+6kc54Cw+e4OaUY2yA0+FD"
    "rIp85ekwbpR8nhi/nvVqrw7QdkeGI3bfiIe8fhi5UUOfnqZQbHPns3LR1cWhb9fh/8YJIzKmrz3w/0wsmGb0PuGJ7qYliAWI1XukcAuJQeq3"
    "GI0wptTVJgKzfFMMd3vs"
)
AVIF_12_BIT = b64decode(
    "AAAAHGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZgAAAOttZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAAA5waXRt"
    "AAAAAAABAAAAHmlsb2MAAAAARAAAAQABAAAAAQAAAQ8AAACkAAAAKGlpbmYAAAAAAAEAAAAaaW5mZQIAAAAAAQAAYXYwMUNvbG9yAAAAAGpp"
    "cHJwAAAAS2lwY28AAAAUaXNwZQAAAAAAAAAQAAAAEAAAABBwaXhpAAAAAAMMDAwAAAAMYXYxQ4FAYAAAAAATY29scm5jbHgAAgACAACAAAAA"
    "F2lwbWEAAAAAAAAAAQABBAECgwQAAACsbWRhdBIACglYDP/40CAgCIAylAEQAABx63Htd5ibWfnaCmIum5Y1PunxWiW+nQSwdN5pRio/07i/"
    "jJ1W/FHt5csaOAYul50Vb3h2d+shfuIiU7V4lXkg06GdQ3wKdL0DhXF7kkwcpEZp0eaODXTVsp35x0E8A5nPwUptSc/4IAfAy3mKWUMiWGk+"
    "z3CO8PlydakaoLNg/TddqpJgwo5QFVDLjhQJ5mrg"
)


@pytest.mark.parametrize("data", [AVIF_10_BIT, AVIF_12_BIT])
def test_wider_samples_of_an_avif_are_scaled(data: bytes) -> None:
    assert read_coded_picture(BytesIO(data), "AVIF", "x").sample_bytes == 2
    rise = np.tile(np.linspace(0, 255, 16), (16, 1))
    assert np.abs(pixels(data) - np.stack([rise, rise.T, rise[::-1, ::-1]], -1)).max() <= 6


@pytest.mark.parametrize("kind", KINDS)
def test_transparency_is_composited(kind: str) -> None:
    clear = picture().convert("RGBA")
    clear.putalpha(0)
    assert pixels(encode(clear, kind), background=(10, 200, 30)).reshape(-1, 3).tolist() == [[10, 200, 30]] * 64 * 48
    half = picture().convert("RGBA")
    half.putalpha(128)
    wanted = np.asarray(picture()) * (128 / 255) + 255 * (127 / 255)
    assert np.abs(pixels(encode(half, kind)) - wanted).max() <= 4


@pytest.mark.parametrize("kind", KINDS)
def test_of_several_pictures_the_first_is_taken(kind: str) -> None:
    other, first = picture().transpose(Image.Transpose.ROTATE_180), {"primary_index": 0} if kind == "HEIC" else {}
    appended = [pillow_heif.from_pillow(other)[0]] if kind == "HEIC" else [other]
    assert distance(encode(picture(), kind, save_all=True, append_images=appended, **first), picture()) <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_anywhere_is_an_error(kind: str) -> None:
    data = encode(picture(), kind)
    for length in range(20, len(data)):
        assert refusal(data[:length]).kind in ("truncated", "not-an-image")
    assert "is truncated" in refusal(data[:-1]).message


@pytest.mark.parametrize("kind", KINDS)
def test_the_limits_are_looked_at_before_decoding(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(picture(), kind)
    assert refusal(data, max_pixels=64 * 48 - 1).kind == "too-large"
    monkeypatch.setattr("edge_runtime.images.memory._ALWAYS_ALLOWED_BYTES", 0)
    assert "MB to decode" in refusal(data, max_pixels=64 * 48).message


def test_an_avif_whose_stream_is_larger_than_it_claims_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # 36 million pixels fit in a kilobyte; the boxes say 64 × 64, which is what the decoder scales it to in the end.
    monkeypatch.setattr("edge_runtime.images.memory._ALWAYS_ALLOWED_BYTES", 0)
    whole = encode(Image.new("RGB", (2000, 2000), (200, 30, 90)), "AVIF")
    size, claimed = (b"ispe" + struct.pack(">III", 0, *sides) for sides in ((2000, 2000), (64, 64)))
    assert size in whole
    data = whole.replace(size, claimed)
    assert read_coded_picture(BytesIO(data), "AVIF", "x").coded_pixels == 4_000_000
    assert refusal(data, max_pixels=1_000_000).kind == "too-large"


def test_a_moving_avif_without_a_still_picture_is_named_so() -> None:
    data = encode(picture(), "AVIF", save_all=True, append_images=[picture().rotate(180)])
    assert data[8:12] == b"avis"
    error = refusal(data.replace(b"meta", b"free", 1))
    assert "moving AVIF" in error.message and error.kind == "not-an-image"


@pytest.mark.parametrize("many", ["items", "parts"])
def test_boxes_of_far_too_many_parts_are_refused(many: str) -> None:
    count, parts = (60_000, 1) if many == "items" else (4000, 60_000)
    # Numbers of no bytes at all: each of the 240 million parts would take nothing.
    iloc = struct.pack(">IHH", 0, 0, count) + b"".join(struct.pack(">HHH", n, 0, parts) for n in range(count))
    body = struct.pack(">I", 0) + struct.pack(">I4s", 8 + len(iloc), b"iloc") + iloc
    data = b"\0\0\0\x14ftypavif\0\0\0\0avif" + struct.pack(">I4s", 8 + len(body), b"meta") + body
    assert refusal(data).kind == "hostile"


def test_what_cannot_be_read_here_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    heic = encode(picture(), "HEIC") if pillow_heif else b"\0\0\0\x10ftypheic\0\0\0\0" + b"\0\0\0\x0cmeta" + bytes(4)
    monkeypatch.setattr(decoder, "missing_package", lambda extra: "pillow_heif" if extra == "heic" else None)
    error = refusal(heic)
    assert "HEIC" in error.message and "pillow-heif" in error.message and error.kind == "not-supported"
    assert error.hint.startswith("pip install 'edge-vision[heic]'")
    monkeypatch.setattr("PIL.AvifImagePlugin.SUPPORTED", False)
    error = refusal(encode_avif())
    assert "this build of Pillow" in error.message and "wheel" in error.hint and error.kind == "not-supported"


AVIF = encode(picture(), "AVIF") if features.check("avif") else b""


def encode_avif() -> bytes:
    return AVIF


def test_nothing_is_imported_before_such_a_file_is_met() -> None:
    code = (
        "import sys, io; from PIL import Image; from edge_runtime import decode; b = io.BytesIO();"
        "Image.new('RGB', (8, 8)).save(b, 'PNG'); decode(b.getvalue());"
        "assert not {'pillow_heif', '_pillow_heif', 'PIL._avif', 'PIL.ImageCms', 'PIL._imagingcms'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@with_heic
def test_reading_a_heic_registers_no_opener() -> None:
    code = (
        "import sys; from PIL import Image; from edge_runtime import decode; Image.init(); before = dict(Image.OPEN);"
        "decode(sys.stdin.buffer.read()); assert 'pillow_heif' in sys.modules; assert Image.OPEN == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, input=encode(picture(), "HEIC"))


@pytest.mark.parametrize("head", [b"\xff\x0a\x00\x10", b"\0\0\0\x0cJXL \r\n\x87\n"])
def test_jpeg_xl_is_named_and_not_read(head: bytes) -> None:
    error = refusal(head + bytes(40))
    assert error.kind == "not-an-image"
    assert error.hint.startswith("it is JPEG XL, which edge does not read")


def test_an_mpo_and_a_jpeg_with_a_gain_map_give_their_first_picture() -> None:
    first, second = BytesIO(), picture().transpose(Image.Transpose.ROTATE_180)
    picture().save(first, "JPEG", quality=100, subsampling=0)
    mpo = BytesIO()
    picture().save(mpo, "MPO", save_all=True, append_images=[second], quality=100, subsampling=0)
    assert_array_equal(pixels(mpo.getvalue()), pixels(first.getvalue()))
    # As Android writes it: a smaller grey JPEG after the end of the picture.
    gain = BytesIO()
    picture(16, 12).convert("L").save(gain, "JPEG")
    assert_array_equal(pixels(first.getvalue() + gain.getvalue()), pixels(first.getvalue()))
