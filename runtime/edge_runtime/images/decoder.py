"""Any image a user has -> upright 8-bit RGB, or an `ImageError` that says what is wrong with which file.

The formats are JPEG (and MPO), PNG, GIF, BMP, WebP, TIFF, AVIF and HEIC, told apart by their first bytes:
suffixes lie, and letting Pillow guess would put its rarer plugins (EPS starts Ghostscript) within reach of hostile
files.
"""

from __future__ import annotations

import errno
import os
import re
from importlib import import_module
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image

from edge_runtime.errors import ImageError, MissingExtraError, UsageError, one_line
from edge_runtime.extras import missing_package
from edge_runtime.images.arrays import array_image
from edge_runtime.images.colour import converter_of
from edge_runtime.images.encoded_file import open_encoded
from edge_runtime.images.kind import foreign_hint, image_kind
from edge_runtime.images.memory import MAX_PIXELS, check_memory, check_turning
from edge_runtime.images.modes import rgb_of
from edge_runtime.images.structure import CUT_SHORT, check_scans, check_structure, declared_size, read_jpeg_frame
from edge_runtime.machine.process import quiet_decoding
from edge_runtime.setting_kinds import as_kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | NDArray[np.uint8]"
"""A path, an encoded file's bytes, a PIL image, or an array, uint8 `[H, W, 3]` RGB or `[H, W]` grey."""

# Calling the plugin's class imports that plugin and nothing else; `Image.open` on bytes imports five (6 of 45 ms cold).
# JPEG's class is also MPO's first picture, without parsing the index of the others.
_PLUGINS = {name.upper(): name for name in ("Jpeg", "Png", "Gif", "Bmp", "WebP", "Tiff", "Avif")}
_HEAD_BYTES = 512

# What says nothing about the picture. Others do: a damaged one may lead to a place that no file has (EINVAL).
_MACHINES_TROUBLES = frozenset({errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENODEV, errno.ENXIO, errno.ESTALE})
_MACHINES_TROUBLES |= {errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ECONNRESET}

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


_WHITE = (255, 255, 255)
_REDUCE = "`reduce_to_px`"


def decode(
    source: ImageSource,
    *,
    background: tuple[int, int, int] = _WHITE,
    reduce_to_px: int | None = None,
    to_srgb: bool = True,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> Image.Image:
    """A path, an encoded file's bytes, a PIL image or an array -> a new PIL image: RGB, upright, without metadata.

    - The orientation in EXIF is applied, in AVIF and HEIC that of their own boxes; what cannot be read is ignored.
    - Transparency of every kind is composited on `background`; the colour hidden under it never shows.
    - Wider samples are scaled to 8 bit, never clipped (the rule: `modes`).
    - CMYK, YCbCr, HSV, palette, grey and 1-bit are converted; of an animation the first frame is taken, of a PIL image
      the frame it stands on. A PIL image is not modified.
    - `to_srgb`: colours of another space are converted by the embedded profile (the rule: `colour`); without it a
      profile is not looked at.
    - `reduce_to_px`: the short side in pixels that the caller will resize to. It lets large JPEGs be decoded at 1/2,
      1/4 or 1/8 of their size, never below twice that many pixels.
    - `name`: what an error calls the image; by default its path, or what kind of thing it is.

    Raises ImageError, with the name in its message: no such file, not a regular file, no format edge reads, more than
    `max_pixels` pixels or 4 bytes for each of them, more memory needed than 5.5 bytes for each (all checked before
    decoding), truncated, damaged, or in a colour space Pillow cannot convert. Raises UsageError where a setting is of
    another kind.
    """
    max_pixels, reduce_to_px = as_kind(max_pixels, int, "`max_pixels`"), as_kind(reduce_to_px, int | None, _REDUCE)
    if background is not _WHITE:
        background = _colour(background)
    name = _name(source) if name is None else one_line(name)
    try:
        if isinstance(source, np.ndarray):
            source = array_image(source, name)
        if isinstance(source, Image.Image):
            return _decode_image(source, name, background, to_srgb, max_pixels)
        with open_encoded(source, name, max_pixels=max_pixels) as file:
            return _decode_file(
                file, name, background, reduce_to_px=reduce_to_px, to_srgb=to_srgb, max_pixels=max_pixels
            )
    except ImageError:
        raise
    # On a damaged file Pillow and the libraries below it raise whatever comes: OSError, SyntaxError, ValueError,
    # struct.error, zlib.error, IndexError, EOFError, OverflowError, MemoryError, its bomb warning when warnings are
    # errors. Nearly all of them say one thing about this one file, and none of them leaves state behind.
    except Exception as error:
        raise _explained(error, name) from error


def _colour(background: tuple[int, int, int]) -> tuple[int, int, int]:
    red, *others = as_kind(background, tuple[int, ...], "`background`") or (-1,)
    if len(others) != 2 or not all(0 <= each <= 255 for each in (red, *others)):
        raise UsageError(f"`background` {background}: three numbers of 0 to 255 are needed", "red, green and blue")
    return red, others[0], others[1]


def _explained(error: Exception, name: str) -> ImageError:
    # Pillow names an open file by its address in memory.
    reason = re.sub(r"<[^>]* at 0x[0-9a-f]+>", "the file", one_line(str(error))) or type(error).__name__
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        return ImageError(f"{name} cannot be decoded: {reason}", "free memory, or shrink it first", "no-memory")
    if isinstance(error, ImportError):
        return ImageError(f"{name} cannot be decoded here: {reason}", "install Pillow again", "unreadable")
    if number in _MACHINES_TROUBLES:
        reason = getattr(error, "strerror", None) or reason
        few = number in (errno.EMFILE, errno.ENFILE)
        hint = "close other files, or raise their limit" if few else "check the disk it is on"
        return ImageError(f"{name} cannot be read: {reason}", hint, "unreadable")
    if "truncated" in reason.lower():
        return ImageError(f"{name} cannot be decoded: {reason}", CUT_SHORT, "truncated")
    return ImageError(
        f"{name} cannot be decoded: {reason}", "it is damaged or of a rare kind: save it again", "damaged"
    )


def _name(source: object) -> str:
    if isinstance(source, Image.Image):
        return "the PIL image"
    if isinstance(source, np.ndarray):
        return "the array"
    if isinstance(source, bytes | bytearray | memoryview):
        return "image bytes"
    if isinstance(source, str | os.PathLike):
        return one_line(os.fsdecode(source)) or "''"
    raise ImageError(
        f"an image cannot be read from {type(source).__name__}",
        "give a path, an encoded file's bytes, a PIL image or an array",
        "no-file",
    )


def _decode_file(
    file: IO[bytes],
    name: str,
    background: tuple[int, int, int],
    *,
    reduce_to_px: int | None,
    to_srgb: bool,
    max_pixels: int,
) -> Image.Image:
    head = file.read(_HEAD_BYTES)
    if not head:
        raise ImageError(f"{name} is empty", "copy or download it again", "not-an-image")
    kind = image_kind(head)
    if kind is None:
        raise ImageError(f"{name} is not an image edge reads", foreign_hint(head), "not-an-image")
    if size := declared_size(head, kind):
        _check_pixels(size, name, max_pixels)
    check_structure(file, head, kind, name)
    frame = read_jpeg_frame(file, head, name) if kind == "JPEG" else None
    if frame:
        _check_pixels((frame.width, frame.height), name, max_pixels)
        check_scans(file, frame, name)
    coded = None
    if kind in ("AVIF", "HEIC"):
        # Most pictures are of other formats, and each process would pay for reading what takes these apart.
        from edge_runtime.images.boxes import read_coded_picture

        coded = read_coded_picture(file, kind, name)
    file_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    quiet_decoding(kind)
    image: Image.Image = _plugin(kind, name)(_still(file, head))
    _check_pixels(image.size, name, max_pixels)
    if kind == "JPEG" and reduce_to_px:
        _reduce(image, reduce_to_px)
    if kind == "PNG":
        _rescale_colour_key(image, depth_bits=head[24])
    check_memory(image, kind, head, name, max_pixels=max_pixels, file_bytes=file_bytes, frame=frame or coded)
    image.load()
    turn = _turn(image)
    convert = converter_of(image, coded.nclx if coded else None, name) if to_srgb else None
    rgb = rgb_of(image, name, background, convert)
    # A plugin's object keeps what it decoded from, WebP's 12 bytes for every pixel: its pixels move to a plain image.
    rgb = rgb._new(rgb.im) if rgb is image else rgb
    del image
    if turn is not None:
        check_turning(rgb, name, max_pixels=max_pixels)
        rgb = rgb.transpose(turn)
    return _without_metadata(rgb)


def _plugin(kind: str, name: str) -> Any:
    """The class that opens files of that kind."""
    if kind == "HEIC":
        if missing_package("heic"):
            missing = MissingExtraError("heic", "pillow-heif")
            raise ImageError(f"{name} is a HEIC photo: {missing.message}", missing.hint, "not-supported")
        return import_module("pillow_heif").HeifImageFile
    module = import_module(f"PIL.{_PLUGINS[kind]}ImagePlugin")
    if kind == "AVIF" and not module.SUPPORTED:
        hint = "install Pillow from its wheel, which has AVIF, or convert the picture first"
        raise ImageError(f"{name} is an AVIF image, which this build of Pillow does not read", hint, "not-supported")
    return getattr(module, f"{_PLUGINS[kind]}ImageFile")


def _still(file: IO[bytes], head: bytes) -> IO[bytes]:
    # Of a moving AVIF Pillow would decode its track, whose frames may be of any size; `boxes` looked at the still one.
    if head[4:12] != b"ftypavis":
        return file
    return BytesIO(head[:8] + b"avif" + file.read()[12:])


def _decode_image(
    source: Image.Image, name: str, background: tuple[int, int, int], to_srgb: bool, max_pixels: int
) -> Image.Image:
    _check_pixels(source.size, name, max_pixels)
    source.load()
    turn = _turn(source)
    convert = converter_of(source, None, name) if to_srgb else None
    # Colours are converted in place, and the caller's picture stays as it is.
    rgb = rgb_of(source.copy() if convert and source.mode == "RGB" else source, name, background, convert)
    if turn is not None:
        return _without_metadata(rgb.transpose(turn))
    return _without_metadata(rgb.copy() if rgb is source else rgb)


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
            "too-large",
        )


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


def _turn(image: Image.Image) -> Image.Transpose | None:
    # A TIFF is turned by Pillow when it loads, and its tag removed: after loading there is nothing left to do twice.
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # EXIF comes from the wild: a damaged one must not cost the picture it describes
        return None
