"""Any image a user has -> upright 8-bit RGB, or an `ImageError` that says what is wrong with which file.

The formats are JPEG (and MPO), PNG, GIF, BMP, WebP and TIFF, told apart by their first bytes: suffixes lie, and letting
Pillow guess would put its rarer plugins (EPS starts Ghostscript) within reach of hostile files.
"""

from __future__ import annotations

import codecs
import os
import stat
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageChops

from edge_runtime.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PIXELS = 80_000_000
"""Just under Pillow's own warning threshold: a 50-megapixel phone photo passes, a 144-megapixel bomb does not."""

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_BMP_HEADER_BYTES = (12, 40, 52, 56, 64, 108, 124)
# Calling the plugin's class imports that plugin and nothing else; `Image.open` on bytes imports five (6 of 45 ms cold).
# JPEG's class is also MPO's first picture, without parsing the index of the others.
_PLUGINS = {
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
}
_HEAD_BYTES = 512
_READS = "edge reads JPEG, PNG, GIF, BMP, WebP and TIFF; convert it to one of these first"
_CUT_SHORT = "the file is cut short: copy or download it again"

_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WIDE_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
_ALPHA_MODES = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})
# LAB is left out though some builds of Pillow convert it: it needs LittleCMS, which others lack, and a model must see
# the same pixels on every machine.
_PLAIN_MODES = frozenset({"RGB", "RGBX", "L", "1", "P", "CMYK", "YCbCr", "HSV"})


def decode(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image,
    *,
    background: tuple[int, int, int] = (255, 255, 255),
    reduce_to_px: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Image.Image:
    """A path, an encoded file's bytes or a PIL image -> a new PIL image of mode RGB, upright, without metadata.

    - The orientation in EXIF is applied; EXIF that cannot be read is ignored.
    - Transparency of every kind is composited on `background`; the colour hidden under it never shows.
    - Wider samples are scaled to 8 bit, never clipped (the rule: `_eight_bit`).
    - CMYK, YCbCr, HSV, palette, grey and 1-bit are converted; of an animation the first frame is taken, of a PIL image
      the frame it stands on. A PIL image is not modified.
    - `reduce_to_px`: the short side in pixels that the caller will resize to. It lets large JPEGs be decoded at 1/2,
      1/4 or 1/8 of their size, never below twice that many pixels.

    Raises ImageError, with the path in its message: no such file, not a regular file, no format edge reads, more than
    `max_pixels` pixels (checked before decoding), truncated, damaged, or in a colour space Pillow cannot convert.
    """
    name = _name(source)
    try:
        if isinstance(source, Image.Image):
            return _decode_image(source, name, background, max_pixels)
        with _open(source, name) as file:
            return _decode_file(file, name, background, reduce_to_px, max_pixels)
    except ImageError:
        raise
    # On a damaged file Pillow and the libraries below it raise whatever comes: OSError, SyntaxError, ValueError,
    # struct.error, zlib.error, IndexError, EOFError, OverflowError, MemoryError, its bomb warning when warnings are
    # errors. All of them say one thing about this one file, and none of them leaves state behind.
    except Exception as error:
        reason = str(error) or type(error).__name__
        hint = _CUT_SHORT if "truncated" in reason.lower() else "it is damaged or of a rare kind: save it again"
        raise ImageError(f"{name} cannot be decoded: {reason}", hint) from error


def _name(source: object) -> str:
    if isinstance(source, Image.Image):
        return "the PIL image"
    if isinstance(source, bytes | bytearray | memoryview):
        return "image bytes"
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source) or "''"
    raise ImageError(
        f"an image cannot be read from {type(source).__name__}",
        "give a path, an encoded file's bytes or a PIL image",
    )


def _open(source: str | os.PathLike[str] | bytes | bytearray | memoryview, name: str) -> IO[bytes]:
    if isinstance(source, bytes | bytearray | memoryview):
        return BytesIO(source if isinstance(source, bytes) else bytes(source))
    path = Path(os.fsdecode(source))
    try:
        mode = os.stat(source).st_mode  # noqa: PTH116 (Path("") would be the current folder)
        # Opening a FIFO would wait for its writer, and a device may do anything.
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise ImageError(f"{name} is {what}", "give the path of an image file")
        return path.open("rb")
    except FileNotFoundError:
        if path.is_symlink():
            raise ImageError(f"{name} is a link to a file that does not exist", "restore what it points to") from None
        raise ImageError(f"{name} does not exist", "check the path") from None
    except PermissionError:
        raise ImageError(f"{name} may not be read", "check its permissions and its folder's") from None
    # ValueError: a path with a null character.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{name} cannot be opened: {reason}", "check the path") from None


def _decode_file(
    file: IO[bytes], name: str, background: tuple[int, int, int], reduce_to_px: int | None, max_pixels: int
) -> Image.Image:
    head = file.read(_HEAD_BYTES)
    if not head:
        raise ImageError(f"{name} is empty", "copy or download it again")
    kind = _kind(head)
    if kind is None:
        raise ImageError(f"{name} is not an image edge reads", _foreign(head))
    if size := _declared_size(head, kind):
        _check_pixels(size, name, max_pixels)
    if not _is_whole(file, head, kind):
        raise ImageError(f"{name} is truncated", _CUT_SHORT)
    file.seek(0)
    module, plugin = _PLUGINS[kind]
    image: Image.Image = getattr(import_module(module), plugin)(file)
    _check_pixels(image.size, name, max_pixels)
    if kind == "JPEG" and reduce_to_px:
        _reduce(image, reduce_to_px)
    if kind == "PNG":
        _rescale_colour_key(image, depth_bits=head[24])
    image.load()
    rgb = _upright_rgb(image, name, background)
    # A plugin's object keeps what it decoded from, WebP's 8 bytes for every pixel; a JPEG's keeps next to nothing.
    return _without_metadata(rgb.copy() if rgb is image and kind != "JPEG" else rgb)


def _decode_image(source: Image.Image, name: str, background: tuple[int, int, int], max_pixels: int) -> Image.Image:
    _check_pixels(source.size, name, max_pixels)
    source.load()
    image = _upright_rgb(source, name, background)
    return _without_metadata(image.copy() if image is source else image)


def _without_metadata(image: Image.Image) -> Image.Image:
    # What was applied must not be applied again by the next reader of this image: orientation, colour key.
    image.info = {}
    return image


def _check_pixels(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageError(
            f"{name} has {width} × {height} pixels, {width * height / 1e6:.1f} million; "
            f"the limit is {max_pixels / 1e6:g} million",
            "shrink it first",
        )


def _kind(head: bytes) -> str | None:
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    # Two letters alone would claim every text that starts with "BM".
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES:
        return "BMP"
    return None


def _foreign(head: bytes) -> str:
    """The hint for a file that is none of ours."""
    text = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if head[4:8] == b"ftyp":
        brands = head[8 : int.from_bytes(head[:4], "big")]
        if b"avi" in brands:
            return f"it is an AVIF image; {_READS}"
        heic = any(brand in brands for brand in (b"hei", b"hev", b"mif1", b"msf1"))
        return f"it is a HEIC photo; {_READS}" if heic else f"it is a video or audio file; {_READS}"
    for prefix, what in (
        (b"%pdf", "a PDF document; export its page as PNG first"),
        (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run `git lfs pull`"),
        (b"<!doctype html", "a web page, as a failed download leaves; download the image again"),
        (b"<html", "a web page, as a failed download leaves; download the image again"),
    ):
        if text.startswith(prefix):
            return f"it is {what}"
    if text.startswith(b"<") and b"<svg" in text:
        return "it is an SVG drawing; render it to PNG first"
    try:
        # Incremental, as the head may end inside a character.
        decoded = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return _READS
    printable = all(char.isprintable() or char.isspace() for char in decoded)
    return f"it is a text file; {_READS}" if printable and decoded else _READS


def _declared_size(head: bytes, kind: str) -> tuple[int, int] | None:
    """(width, height) in the header, for the two formats whose plugins allocate the canvas on opening."""

    def little(start: int, length: int = 2) -> int:
        return int.from_bytes(head[start : start + length], "little")

    if kind == "GIF":
        return little(6), little(8)
    if kind != "WEBP":
        return None
    match head[12:16]:
        case b"VP8X":
            return little(24, 3) + 1, little(27, 3) + 1
        case b"VP8L":
            bits = little(21, 4)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case _:
            return little(26) & 0x3FFF, little(28) & 0x3FFF


def _is_whole(file: IO[bytes], head: bytes, kind: str) -> bool:
    """Whether the parts are there whose absence Pillow forgives, though they can hold the orientation."""
    if kind == "PNG":
        return _reaches_iend(file)
    return _directory_fits(file, head) if kind == "TIFF" else True


def _reaches_iend(file: IO[bytes]) -> bool:
    # EXIF may follow the pixels; Pillow takes a file that ends before it for one without.
    position, end = 8, file.seek(0, os.SEEK_END)
    while position + 12 <= end:
        file.seek(position)
        chunk = file.read(8)
        if chunk[4:] == b"IEND":
            return True
        position += 12 + int.from_bytes(chunk[:4], "big")
    return False


def _directory_fits(file: IO[bytes], head: bytes) -> bool:
    # Pillow only warns when a tag directory at a file's end is cut, and goes on with the tags before the cut.
    order: Any = "little" if head.startswith(b"II") else "big"
    big = 43 in head[2:4]
    start = int.from_bytes(head[8:16] if big else head[4:8], order)
    count_bytes, entry_bytes = (8, 20) if big else (2, 12)
    end = file.seek(0, os.SEEK_END)
    if start + count_bytes > end:
        return False
    file.seek(start)
    return start + count_bytes + entry_bytes * int.from_bytes(file.read(count_bytes), order) <= end


def _reduce(image: Any, reduce_to_px: int) -> None:
    """Have a JPEG decoded at the smallest DCT scale that is still twice what is asked for.

    Against a full decode, in what a model gets to see (224 px of 232 or 256), on 23 photos of 2 to 12 megapixels: 0.2
    to 0.5 of 255 grey levels on average and 8 at most, 1.6 to 5.7 times faster. At once the size instead of twice: up
    to 2.5 and 35.
    """
    width, height = image.size
    for scale in (8, 4, 2):
        # libjpeg rounds a side that the scale does not divide up, which stretches the picture by a fraction of a
        # pixel: up to 4 levels on average, 79 at most. The sides of cameras' photos divide.
        fits = width % scale == 0 and height % scale == 0
        if fits and min(width, height) // scale >= 2 * reduce_to_px:
            image.draft(None, (width // scale, height // scale))
            return


def _rescale_colour_key(image: Image.Image, depth_bits: int) -> None:
    # Pillow scales a PNG's samples to 8 bit but leaves its transparent colour in the file's own depth.
    key = image.info.get("transparency")
    if image.mode == "L" and depth_bits < 8 and isinstance(key, int):
        image.info["transparency"] = key * 255 // (2**depth_bits - 1)
    elif image.mode == "RGB" and depth_bits == 16 and isinstance(key, tuple):
        image.info["transparency"] = tuple(sample >> 8 for sample in key)


def _upright_rgb(image: Image.Image, name: str, background: tuple[int, int, int]) -> Image.Image:
    """A loaded image -> RGB, turned; the image itself where there is nothing to do."""
    turn = _turn(image)
    rgb = _rgb(image, name, background)
    return rgb if turn is None else rgb.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    # A TIFF is turned by Pillow when it loads, and its tag removed: after loading there is nothing left to do twice.
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # EXIF comes from the wild: a damaged one must not cost the picture it describes
        return None


def _rgb(image: Image.Image, name: str, background: tuple[int, int, int]) -> Image.Image:
    if image.mode in _WIDE_MODES:
        return _wide_to_rgb(image, background)
    if image.mode not in _PLAIN_MODES | _ALPHA_MODES:
        raise ImageError(f"{name} is in the colour space {image.mode}", "save it as RGB first")
    if image.has_transparency_data:
        # Pillow writes the alpha values into the palette of the image it converts, and knows no direct way from La.
        ready = image.copy() if image.mode == "P" else image.convert("LA") if image.mode == "La" else image
        rgba = ready.convert("RGBA")
        alpha = rgba.getchannel("A")
        rgb = rgba.convert("RGB")
        if alpha.getextrema() != (255, 255):
            rgb.paste(background, mask=ImageChops.invert(alpha))
        return rgb
    return image if image.mode == "RGB" else image.convert("RGB")


def _wide_to_rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """A grey image of 16-bit, 32-bit or float samples -> RGB; a PNG's transparent grey becomes the background."""
    samples = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    from_16_bit = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    white = 2 ** int(tags.get(258, (16,))[0]) - 1 if from_16_bit else None
    grey = _eight_bit(samples, white)
    # Pillow honours TIFF's "0 is white" up to 8 bit only.
    if tags.get(262) == 0:
        grey = 255 - grey
    rgb = Image.fromarray(grey).convert("RGB")
    key = image.info.get("transparency")
    if isinstance(key, int):
        rgb.paste(background, mask=Image.fromarray((samples == key).astype(np.uint8) * np.uint8(255)))
    return rgb


def _eight_bit(samples: NDArray[Any], white: int | None) -> NDArray[np.uint8]:
    """[H, W] integers or floats -> [H, W] uint8, rounded.

    `white` is the sample that becomes 255 where the file states it (65535 for 16 bit: v / 257). Without it the range
    of the samples decides, non-finite ones counting as 0: floats within 0..1 times 255; within 0..255 as they are;
    within 0..65535 divided by 257; anything else linearly from its minimum (0) to its maximum (255).
    """
    grey = np.empty(samples.shape, np.uint8)
    # In bands, so that float64 costs megabytes and not eight bytes for every pixel.
    bands = [slice(top, top + 64) for top in range(0, len(samples), 64)]

    def band_of(rows: slice) -> NDArray[np.float64]:
        # Damaged float files hold signalling NaNs, of which the cast would warn.
        with np.errstate(invalid="ignore"):
            return np.nan_to_num(samples[rows].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)

    low, high = 0.0, float(white or 0)
    if white is None:
        low = min(float(band_of(rows).min()) for rows in bands)
        high = max(float(band_of(rows).max()) for rows in bands)
        if low >= 0:
            unit = [1.0] if samples.dtype.kind == "f" else []
            steps = [step for step in (*unit, 255.0, 65535.0) if high <= step]
            low, high = (0.0, steps[0]) if steps else (low, high)
    for rows in bands:
        scaled = (band_of(rows) - low) * (255 / (high - low) if high > low else 0.0)
        grey[rows] = np.rint(scaled).clip(0, 255).astype(np.uint8)
    return grey
