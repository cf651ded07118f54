"""What decoding a picture will take in memory, judged by its header, so that a bomb is refused before it goes off.

A picture at the pixel limit takes 320 MB as RGB in Pillow. Some formats need much more on the way there: WebP four
times as much, a progressive JPEG its coefficients, a TIFF a buffer as large as its tiles say. The bound is one for all
of them: 5.5 bytes for each pixel of the limit, 440 MB at 80 million, which with the interpreter stays below 500 MB. On
a small machine, or in a service with a limit of its own, the bound is what is free: one large picture must not have the
process killed, and again at each restart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_runtime.errors import ImageError
from edge_runtime.images.structure import JpegFrame
from edge_runtime.machine.resources import available_memory_bytes

if TYPE_CHECKING:
    from edge_runtime.images.boxes import CodedPicture

MAX_PIXELS = 80_000_000
"""Just under Pillow's own warning threshold: a 50-megapixel phone photo passes, a 144-megapixel bomb does not."""

_BYTES_PER_PIXEL = 5.5
# Below this no machine that runs edge is in danger, whatever the caller's limit of pixels.
_ALWAYS_ALLOWED_BYTES = 64_000_000

# Bytes that Pillow stores a pixel in; four in every other mode.
_MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
_RGB_BYTES = 4
# libwebp's canvas and the one before it, and the copy of the canvas that Pillow reads from; for lossless files, too,
# what they are unpacked into.
_WEBP_BYTES, _WEBP_LOSSLESS_BYTES = 12, 4
# Pillow unpacks run-length BMPs in Python: it is their time that is bounded, 4 s at 16 ns a pixel and byte.
_BMP_RUNS_BYTES = 24
_BMP_RUN_LENGTH = (1, 2)
_TIFF_JPEG = (6, 7)
# What the AV1 decoder has beside its frame, for each pixel; measured on 12 megapixels, as all of AVIF's and HEIC's.
_AV1_BYTES, _HEVC_BYTES = 1.5, 0.7


def check_memory(
    image: Any,
    kind: str,
    head: bytes,
    name: str,
    *,
    max_pixels: int,
    file_bytes: int,
    frame: JpegFrame | CodedPicture | None,
) -> None:
    """Raise ImageError where decoding `image`, a plugin's image not loaded yet, would take too much memory."""
    width, height = image.size
    _check(_decoding_bytes(image, kind, head, file_bytes, frame), width, height, name, max_pixels)


def check_turning(image: Any, name: str, *, max_pixels: int) -> None:
    """Raise ImageError where turning `image`, which is RGB, would take too much memory."""
    width, height = image.size
    _check(2 * _RGB_BYTES * width * height, width, height, name, max_pixels)


def _check(needed_bytes: float, width: int, height: int, name: str, max_pixels: int) -> None:
    allowed_bytes = max(_ALWAYS_ALLOWED_BYTES, _BYTES_PER_PIXEL * max_pixels)
    if needed_bytes > allowed_bytes:
        raise ImageError(
            f"{name} has {width} × {height} pixels of a kind that takes {needed_bytes / 1e6:,.0f} MB to decode; "
            f"the limit is {allowed_bytes / 1e6:,.0f} MB",
            "shrink it, or save it as a plain JPEG",
            "too-large",
        )
    if needed_bytes <= _ALWAYS_ALLOWED_BYTES:
        return
    free_bytes = available_memory_bytes()
    if free_bytes is not None and needed_bytes > free_bytes:
        raise ImageError(
            f"{name} has {width} × {height} pixels of a kind that takes {needed_bytes / 1e6:,.0f} MB to decode, and "
            f"{free_bytes / 1e6:,.0f} MB of memory are free",
            "shrink it, close other programs, or raise the memory this process may use",
            "no-memory",
        )


def _decoding_bytes(
    image: Any, kind: str, head: bytes, file_bytes: int, frame: JpegFrame | CodedPicture | None
) -> float:
    pixels = image.width * image.height
    stored = _MODE_BYTES.get(image.mode, 4) * pixels
    converted = 0 if image.mode == "RGB" and not image.has_transparency_data else _RGB_BYTES * pixels
    beside = 0.0
    if isinstance(frame, JpegFrame):
        beside = frame.held_bytes_per_pixel * frame.width * frame.height
    elif frame is not None:
        return _coded_bytes(image, kind, stored, converted, frame)
    elif kind == "WEBP":
        lossless = b"VP8L" in head
        beside = (_WEBP_BYTES + lossless * _WEBP_LOSSLESS_BYTES) * pixels + 2 * file_bytes
    elif kind == "BMP" and int.from_bytes(head[30:34], "little") in _BMP_RUN_LENGTH and head[14] != 12:
        beside = _BMP_RUNS_BYTES * pixels
    elif kind == "TIFF":
        return _tiff_bytes(image, stored, converted)
    return float(stored + converted + beside)


def _coded_bytes(image: Any, kind: str, stored: int, converted: int, coded: CodedPicture) -> float:
    """Samples are decoded, made RGB beside them, and that is copied into Pillow's picture."""
    pixels, channels = int(image.width * image.height), len(image.getbands())
    alpha = image.mode[-1] in "Aa"
    samples = coded.samples_per_pixel + alpha
    if kind == "AVIF":
        frame_bytes = samples * coded.sample_bytes * max(pixels, coded.coded_pixels)
        return frame_bytes + (channels + _AV1_BYTES) * pixels + stored + converted
    # libde265's frame is copied, and both are given back before Pillow's picture is made.
    decoding = (samples * (1 + coded.sample_bytes) + channels) * pixels
    return max(decoding, channels * pixels + stored + converted) + _HEVC_BYTES * pixels


def _tiff_bytes(image: Any, stored: int, converted: int) -> float:
    """A strip or a tile is unpacked whole, beside the picture; Pillow turns the picture itself, into a second one."""
    tags = image.tag_v2
    width, height = image.size
    if tags.get(274) in (5, 6, 7, 8):
        width, height = height, width
    if 322 in tags or 323 in tags:
        columns, rows = tags.get(322, 0), tags.get(323, 0)
    else:
        columns, rows = width, min(tags.get(278, height), height)
    bits = tags.get(258, (1,))
    row_bytes = columns * max(sum(bits), bits[0] * tags.get(277, 1)) / 8
    # YCbCr is unpacked to four bytes a pixel; libjpeg may hold coefficients as well.
    if tags.get(262) == 6:
        row_bytes = max(row_bytes, 4 * columns)
    unpacked = row_bytes * rows * (3 if tags.get(259) in _TIFF_JPEG else 1)
    unpacking = stored + unpacked if image.use_load_libtiff else stored
    turned = 2 * stored if tags.get(274, 1) != 1 else 0
    return max(unpacking, turned, stored + converted)
