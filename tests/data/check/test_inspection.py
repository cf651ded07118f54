"""`edge data check` on single odd files: each kind of oddity is counted, named, and does no harm."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_data import check_data
from edge_data.check.findings import Finding
from edge_data.check.inspection import inspect

FLOAT32 = np.float32


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 pictures of two classes with nothing odd about them."""
    root = tmp_path_factory.mktemp("plain")
    for label in ("ant", "bee"):
        (root / label).mkdir()
        for number in range(60):
            picture(number + 1000 * (label == "bee")).save(root / label / f"{number}.png")
    return root


@pytest.fixture
def data(plain: Path, tmp_path: Path) -> Path:
    for label in ("ant", "bee"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for path in (plain / label).iterdir():
            (tmp_path / "data" / label / path.name).hardlink_to(path)
    return tmp_path / "data"


def picture(seed: int = 5000, size: tuple[int, int] = (48, 40)) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.NEAREST)


def found(data: Path) -> dict[str, tuple[Finding, ...]]:
    return check_data(data).by_kind


def rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(path, exif=exif)


def palette(path: Path) -> None:
    picture().quantize(16).save(path, transparency=3)


def alpha(path: Path) -> None:
    image = picture()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(path)


def floats(path: Path) -> None:
    Image.fromarray(np.asarray(picture().convert("L"), FLOAT32) / 255).save(path, "TIFF")


def deep(path: Path) -> None:
    Image.fromarray(np.asarray(picture().convert("L"), np.uint16) * 257).save(path)


def deep_colour(path: Path) -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = np.random.default_rng(1).integers(0, 65536, (40, 40, 3)).astype(">u2")
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", 40, 40, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def frames(path: Path) -> None:
    picture().save(path, save_all=True, append_images=[picture(1), picture(2)])


ODD: dict[str, tuple[str, Callable[[Path], None]]] = {
    "rotated": ("odd.jpg", rotated),
    "cmyk": ("odd.jpg", lambda path: picture().convert("CMYK").save(path)),
    "16-bit": ("odd.png", deep),
    "16-bit colour": ("odd.png", deep_colour),
    "float": ("odd.tif", floats),
    "palette-transparency": ("odd.png", palette),
    "alpha": ("odd.png", alpha),
    "alpha grey": ("odd.png", lambda path: picture().convert("LA").save(path)),
    "frames": ("odd.gif", frames),
    "grey": ("odd.png", lambda path: picture().convert("L").save(path)),
    "grey stored as colour": ("odd.jpg", lambda path: picture().convert("L").convert("RGB").save(path)),
    "blank": ("odd.png", lambda path: Image.new("RGB", (50, 50), (9, 99, 200)).save(path)),
    "tiny": ("odd.png", lambda path: picture(size=(90, 31)).save(path)),
    "extreme-aspect": ("odd.png", lambda path: picture(size=(40, 121)).save(path)),
    "huge": ("odd.png", lambda path: picture(size=(7100, 7100)).quantize(16).save(path)),
    "stray-format": ("odd.webp", lambda path: picture().save(path, lossless=True)),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_image_is_counted_and_does_no_harm(data: Path, name: str) -> None:
    file, write = ODD[name]
    write(data / "ant" / file)
    kind = name.split(maxsplit=1)[0] if name != "grey stored as colour" else "grey"
    assert kind not in found_in_plain(data, file)
    (finding,) = found(data)[kind]
    assert (finding.files, finding.harmful) == ((f"ant/{file}",), False)
    assert f"ant/{file}" in finding.text


def found_in_plain(data: Path, file: str) -> dict[str, tuple[Finding, ...]]:
    """What is found while the odd file stands aside: nothing may be said about the others."""
    aside = data.parent / file
    (data / "ant" / file).rename(aside)
    try:
        return found(data)
    finally:
        aside.rename(data / "ant" / file)


def test_an_image_over_the_limit_harms(data: Path) -> None:
    Image.new("1", (9500, 9500)).save(data / "bee/bomb.png")
    (finding,) = found(data)["huge"]
    assert finding.harmful and finding.files == ("bee/bomb.png",)
    assert finding.text.startswith("bee/bomb.png has 9500 × 9500 pixels") and "shrink it" in finding.text


def test_a_file_larger_than_memory_is_told_and_the_rest_is_checked(data: Path) -> None:
    with (data / "ant" / "huge.jpg").open("wb") as file:
        file.truncate(2**42)
    (finding,) = found(data)["unreadable"]
    assert "has 4,398,047 MB; the limit is 320 MB" in finding.text


def test_a_note_is_known_by_its_kind_and_not_by_its_words(data: Path) -> None:
    picture().save(data / "it has no images of bees.png")
    (finding,) = found(data)["note"]
    assert "'it has no images of bees.png'" in finding.text


def test_a_set_all_grey_is_not_told_so(tmp_path: Path) -> None:
    for label in ("ant", "bee"):
        (tmp_path / label).mkdir()
        for number in range(20):
            picture(number + 100 * (label == "bee")).convert("L").save(tmp_path / label / f"{number}.png")
    assert found(tmp_path) == {}


def test_a_wrong_suffix_is_told_with_the_format_it_hides(data: Path) -> None:
    picture().save(data / "ant/photo.JPG", "PNG")
    (finding,) = found(data)["wrong-suffix"]
    assert finding.files == ("ant/photo.JPG",) and ".jpg but PNG" in finding.text and not finding.harmful


@pytest.mark.parametrize("name", ["photo", "photo.dat", "photo.jpg.bak", "photo.png_large"])
def test_an_image_that_its_name_hides_is_told(data: Path, name: str) -> None:
    picture().save(data / "ant" / name, "PNG")
    (finding,) = found(data)["hidden-image"]
    assert finding.files == (f"ant/{name}",) and not finding.harmful


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.jp2", b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        ("a.jxl", b"\xff\x0a\x00\x10", "JPEG XL"),
        ("a.psd", b"8BPS\0\x01", "Photoshop"),
        ("a.NEF", b"MM\0*\0\0\0\x08", "camera raw"),
        ("a.cr3", b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "camera raw"),
    ],
)
def test_formats_edge_does_not_read_are_named(data: Path, name: str, head: bytes, kind: str) -> None:
    (data / "bee" / name).write_bytes(head + bytes(40))
    (finding,) = found(data)["foreign-format"]
    assert finding.files == (f"bee/{name}",) and f"1 {kind}" in finding.text and not finding.harmful


def test_other_files_and_dot_entries_are_no_images(data: Path) -> None:
    (data / "ant/notes.txt").write_text("BMW and GIF", encoding="utf-8")
    (data / "ant/clip.mp4").write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isomavc1")
    picture().save(data / "ant/.hidden", "PNG")
    (data / ".cache").mkdir()
    picture().save(data / ".cache/x", "PNG")
    assert list(found(data)) == ["note"]


@pytest.mark.parametrize("kind", ["AVIF", "HEIC"])
def test_the_newer_formats_are_checked_like_the_others(data: Path, kind: str) -> None:
    image = picture().convert("RGBA")
    image.putalpha(image.getchannel("R"))
    if kind == "AVIF":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(data / "ant/phone.avif", exif=exif)
        picture().save(data / "ant/other.jpg", "AVIF")
    else:
        pillow_heif = pytest.importorskip("pillow_heif")
        pillow_heif.from_pillow(image).save(data / "ant/phone.heic")
        pillow_heif.from_pillow(picture()).save(data / "ant/other.jpg")
    inspection = inspect(data, f"ant/phone.{kind.lower()}")
    assert inspection.format == kind and inspection.refusal is None
    assert (inspection.width_px, inspection.height_px) == (48, 40)
    assert inspection.oddities == (("alpha", "rotated") if kind == "AVIF" else ("alpha",))
    kinds = found(data)
    assert [finding.files for finding in kinds["alpha"]] == [(f"ant/phone.{kind.lower()}",)]
    assert [finding.files for finding in kinds["wrong-suffix"]] == [("ant/other.jpg",)]
    assert "unreadable" not in kinds and "foreign-format" not in kinds


def test_a_heic_photo_named_jpg_harms_and_is_called_what_it_is(data: Path) -> None:
    (data / "ant/phone.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    (finding,) = found(data)["unreadable"]
    assert finding.harmful and "HEIC" in finding.text and finding.text.startswith("ant/phone.jpg ")
