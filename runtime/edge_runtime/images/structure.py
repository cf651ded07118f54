"""What a file's outer structure says before Pillow sees it: how large, whether whole, and whether it is a trap.

Pillow and the libraries below it forgive much and bound little. A file of some megabytes can keep them busy for minutes
(junk between a JPEG's markers, a progressive JPEG of thousands of scans, a PNG of millions of chunks) or fill the
memory. Each bound below lies far beyond what cameras and programs write.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import IO, Literal

from edge_runtime.errors import ImageError

CUT_SHORT = "the file is cut short: copy or download it again"
_SAVE_AGAIN = "no camera writes that: open it in a picture editor and save it again"

_WINDOW_BYTES = 4096
_MAX_HEADER_BYTES = 16 << 20
_MAX_JUNK_BYTES = 1 << 16
# A scan of 62 megapixels, the most that memory allows, takes 0.1 to 0.2 s; encoders write 10 scans, 23 at most.
_MAX_SCAN_PIXELS = 1_500_000_000
_MAX_CHUNKS = 250_000
_MAX_EXTRA_BYTES = 64 << 20
_MAX_TAGS = 65_535
_MAX_STRIPS = 1 << 18
_MAX_GIF_PREFACE_BYTES = 1 << 20

# As Pillow reads them: a marker of the first kind is followed by nothing, one of the second by a segment.
_BARE_MARKERS = frozenset({0xC8, 0xCC, *range(0xD0, 0xDA), *range(0xF0, 0xFE)})
_SEGMENT_MARKERS = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE}) - _BARE_MARKERS
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE_MARKERS = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_START_OF_SCAN = 0xDA

_TIFF_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_TIFF_STRIP_TAGS = frozenset({273, 279, 324, 325})


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """What a JPEG says before its first scan.

    `held_bytes_per_pixel` is what libjpeg keeps of every pixel until the last scan, and `scans_at` where the first
    begins; both are 0 where one scan holds all.
    """

    width: int
    height: int
    held_bytes_per_pixel: float = 0.0
    scans_at: int = 0


def declared_size(head: bytes, kind: str) -> tuple[int, int] | None:
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


def check_structure(file: IO[bytes], head: bytes, kind: str, name: str) -> None:
    """Raise ImageError where parts are missing whose absence Pillow forgives, or there are far too many of them."""
    if kind == "PNG":
        whole = _reaches_iend(file, name)
    elif kind == "TIFF":
        whole = _directory_fits(file, head, name)
    elif kind == "GIF":
        whole = _reaches_picture(file, head, name)
    else:
        return
    if not whole:
        raise ImageError(f"{name} is truncated", CUT_SHORT, "truncated")


def read_jpeg_frame(file: IO[bytes], head: bytes, name: str) -> JpegFrame | None:
    """What a JPEG says of itself, None where Pillow will refuse it anyway.

    Raises ImageError where its header is far beyond what any encoder writes.
    """
    window = _Window(file, head)
    position, junk = 2, 0
    size, sampling, progressive = (0, 0), [(1, 1)], False
    while position < _MAX_HEADER_BYTES:
        start = window.read(position, 4)
        if len(start) < 4:
            return None
        marker = start[1]
        if start[0] != 0xFF or marker in (0x00, 0xFF):
            # Pillow goes on byte by byte, in Python.
            position, junk = position + 1, junk + 1
            if junk > _MAX_JUNK_BYTES:
                raise ImageError(f"{name} has {junk} bytes of junk between its markers", _SAVE_AGAIN, "hostile")
            continue
        if marker in _BARE_MARKERS:
            position += 2
            continue
        if marker not in _SEGMENT_MARKERS:
            return None
        if marker in _FRAME_MARKERS:
            frame = window.read(position + 4, 6 + 3 * 4)
            if len(frame) < 9:
                return None
            size = int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big")
            sampling = [(frame[at] >> 4, frame[at] & 15) for at in range(7, len(frame), 3)][: frame[5]] or sampling
            progressive = marker in _PROGRESSIVE_MARKERS
        if marker == _START_OF_SCAN:
            if progressive or window.read(position + 4, 1) < bytes([len(sampling)]):
                return JpegFrame(*size, _coefficient_bytes(sampling), scans_at=position)
            return JpegFrame(*size)
        position += 2 + int.from_bytes(start[2:], "big")
    raise ImageError(f"{name} has a header of more than {_MAX_HEADER_BYTES >> 20} MB", _SAVE_AGAIN, "hostile")


class _Window:
    """Short reads anywhere in a file, by way of a piece of it in memory."""

    def __init__(self, file: IO[bytes], head: bytes) -> None:
        self._file, self._piece, self._start = file, head, 0

    def read(self, position: int, count: int) -> bytes:
        """`count` bytes from `position`, fewer at the file's end."""
        at = position - self._start
        if at < 0 or at + count > len(self._piece):
            self._file.seek(position)
            self._piece, self._start, at = self._file.read(_WINDOW_BYTES), position, 0
        return self._piece[at : at + count]


def _coefficient_bytes(sampling: list[tuple[int, int]]) -> float:
    # Two bytes for each coefficient; a component sampled half as often each way has a quarter of them.
    whole = max(h for h, _ in sampling) * max(v for _, v in sampling) or 1
    return sum(2 * h * v / whole for h, v in sampling)


def check_scans(file: IO[bytes], frame: JpegFrame, name: str) -> None:
    """Raise ImageError where a JPEG has so many scans that decoding it would take minutes."""
    if not frame.scans_at:
        return
    file.seek(frame.scans_at)
    scans, last = 0, b""
    while block := file.read(1 << 20):
        scans += (last + block).count(b"\xff\xda")
        last = block[-1:]
    if scans * frame.width * frame.height > _MAX_SCAN_PIXELS:
        raise ImageError(f"{name} has {scans} scans of {frame.width} × {frame.height} pixels", _SAVE_AGAIN, "hostile")


def _reaches_iend(file: IO[bytes], name: str) -> bool:
    # EXIF may follow the pixels; Pillow takes a file that ends before it for one without.
    position, end, extra = 8, file.seek(0, os.SEEK_END), 0
    for _ in range(_MAX_CHUNKS):
        if position + 12 > end:
            return False
        file.seek(position)
        chunk = file.read(8)
        if chunk[4:] == b"IEND":
            return True
        length = int.from_bytes(chunk[:4], "big")
        position += 12 + length
        if chunk[4:] not in (b"IDAT", b"fdAT"):
            extra += length
        # Where the chunk's end lies beyond the file's, the next round says so.
        if extra > _MAX_EXTRA_BYTES and position <= end:
            raise ImageError(f"{name} has {extra >> 20} MB beside its pixels", _SAVE_AGAIN, "hostile")
    raise ImageError(f"{name} has more than {_MAX_CHUNKS} chunks", _SAVE_AGAIN, "hostile")


def _directory_fits(file: IO[bytes], head: bytes, name: str) -> bool:
    # Pillow only warns when a tag directory at a file's end is cut, and goes on with the tags before the cut.
    order: Literal["little", "big"] = "little" if head.startswith(b"II") else "big"
    big = 43 in head[2:4]
    start = int.from_bytes(head[8:16] if big else head[4:8], order)
    count_bytes, entry_bytes = (8, 20) if big else (2, 12)
    end = file.seek(0, os.SEEK_END)
    if start + count_bytes > end:
        return False
    file.seek(start)
    count = int.from_bytes(file.read(count_bytes), order)
    if start + count_bytes + entry_bytes * count > end:
        return False
    if count > _MAX_TAGS:
        raise ImageError(f"{name} has {count} tags", _SAVE_AGAIN, "hostile")
    layout = f"{'<' if order == 'little' else '>'}HH{'Q8x' if big else 'L4x'}"
    size_bytes = 0
    for tag, kind, values in struct.iter_unpack(layout, file.read(entry_bytes * count)):
        if tag in _TIFF_STRIP_TAGS and values > _MAX_STRIPS:
            raise ImageError(f"{name} has {values} strips or tiles", _SAVE_AGAIN, "hostile")
        size_bytes += _TIFF_TYPE_BYTES.get(kind, 0) * values
    # What a tag claims beyond the file's end Pillow leaves out.
    if min(size_bytes, end) > _MAX_EXTRA_BYTES:
        raise ImageError(
            f"{name} has {min(size_bytes, end) >> 20} MB of tags beside its pixels", _SAVE_AGAIN, "hostile"
        )
    return True


def _reaches_picture(file: IO[bytes], head: bytes, name: str) -> bool:
    # Pillow reads a GIF's comments and extensions in Python, a few bytes at a time.
    window = _Window(file, head)
    position = 13 + (3 << (head[10] & 7) + 1 if len(head) > 10 and head[10] & 0x80 else 0)
    while position < _MAX_GIF_PREFACE_BYTES:
        block = window.read(position, 1)
        if block in (b"", b",", b";"):
            return block != b""
        position += 1
        if block == b"!":
            position += 1
            while (length := window.read(position, 1)) not in (b"", b"\0"):
                position += 1 + length[0]
            position += 1
    raise ImageError(
        f"{name} has more than {_MAX_GIF_PREFACE_BYTES >> 20} MB before its first picture", _SAVE_AGAIN, "hostile"
    )
