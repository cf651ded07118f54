"""Which format a file has, by its first bytes: suffixes lie."""

from __future__ import annotations

import codecs

__all__ = ["foreign_hint", "image_kind"]

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
_READS = "edge reads JPEG, PNG, GIF, BMP, WebP and TIFF; convert it to one of these first"


def image_kind(head: bytes) -> str | None:
    """The format of a file that starts with `head`, as Pillow names it; None where it is none edge reads."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    # Two letters alone would claim every text that starts with "BM".
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES:
        return "BMP"
    return None


def foreign_hint(head: bytes) -> str:
    """What a file that is no image is instead, and what to do about it."""
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
