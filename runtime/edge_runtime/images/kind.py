"""Which format a file has, by its first bytes: suffixes lie."""

from __future__ import annotations

import codecs
from pathlib import PurePosixPath

HEAD_BYTES = 512
"""How much of a file `format_of` wants to see."""

READABLE_FORMATS = frozenset({"JPEG", "PNG", "GIF", "BMP", "WebP", "TIFF", "AVIF", "HEIC"})
"""The formats edge reads."""

FORMAT_OF_SUFFIX = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".webp": "WebP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
    ".heic": "HEIC",
    ".heif": "HEIC",
    ".hif": "HEIC",
}

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\x01\0", "icon"),
    (b"IIRO", "camera raw"),
    (b"IIU\0", "camera raw"),
    (b"FUJIFILMCCD-RAW", "camera raw"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"v/1\x01", "OpenEXR"),
)
_BMP_HEADER_BYTES = (12, 40, 52, 56, 64, 108, 124)
# Most cameras' raw files are TIFF by their first bytes; what those hold that edge could read is a thumbnail.
_RAW_SUFFIXES = frozenset({".arw", ".cr2", ".dng", ".nef", ".nrw", ".orf", ".pef", ".rw2", ".srw"})
_HEIF_BRANDS = {"avi": "AVIF", "hei": "HEIC", "hev": "HEIC", "mif": "HEIC", "msf": "HEIC"}
_READS = "edge reads JPEG, PNG, GIF, BMP, WebP, TIFF, AVIF and HEIC; convert it to one of these first"


def format_of(head: bytes, name: str = "") -> str | None:
    """The image format of a file that begins with `head`, None where it is no image known here.

    `name` only tells a camera's raw file from the TIFF its first bytes say it is.
    """
    if head[4:8] == b"ftyp":
        if head[8:12] == b"crx ":
            return "camera raw"
        return _heif(head[8 : min(HEAD_BYTES, int.from_bytes(head[:4], "big"))])
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            raw = kind == "TIFF" and PurePosixPath(name).suffix.lower() in _RAW_SUFFIXES
            return "camera raw" if raw else kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WebP"
    # Two letters alone would claim every text that starts with "BM".
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES:
        return "BMP"
    return None


def _heif(brands: bytes) -> str | None:
    """AVIF or HEIC by the brands of an ISO media file: the major one, a version, then the compatible ones."""
    listed = [brands[start : start + 3].decode("latin-1") for start in range(0, len(brands), 4) if start != 4]
    known = [_HEIF_BRANDS[brand] for brand in listed if brand in _HEIF_BRANDS]
    return "AVIF" if "AVIF" in known else known[0] if known else None


def image_kind(head: bytes) -> str | None:
    """The format of a file that starts with `head`, in capitals; None where it is none edge reads."""
    name = format_of(head)
    return name.upper() if name in READABLE_FORMATS else None


def foreign_hint(head: bytes) -> str:
    """What a file that is no image is instead, and what to do about it."""
    text = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if known := format_of(head):
        return f"it is {known}, which edge does not read; {_READS}"
    if head[4:8] == b"ftyp":
        return f"it is a video or audio file; {_READS}"
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
