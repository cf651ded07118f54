"""What the boxes of an AVIF or HEIC file say of its picture, before a decoder sees it.

Both are ISO media files (ISO/IEC 14496-12) with a picture's items in a `meta` box (23008-12): where their bytes lie,
what coded them, which of them is the picture, and the properties of that one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from edge_runtime.errors import ImageError
from edge_runtime.images.av1 import largest_frame
from edge_runtime.images.structure import CUT_SHORT

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_META_BYTES = 8 << 20
_MAX_BOXES = 10_000
_MAX_ITEMS = 4096
_MAX_EXTENTS = 16_384
_SAVE_AGAIN = "no camera writes that: open it in a picture editor and save it again"
# Samples for each pixel by the file's subsampling: grey, 4:2:0, 4:2:2 and 4:4:4.
_GREY, _QUARTER, _HALF, _FULL = 1.0, 1.5, 2.0, 3.0


@dataclass(frozen=True, slots=True)
class CodedPicture:
    """What a file says of its picture.

    `coded_pixels` is the largest frame that an AV1 stream in it announces, which may be larger than the picture it
    claims to be (0: HEIC, whose decoder compares them itself); `samples_per_pixel` and `sample_bytes` what is decoded
    before it becomes RGB; `nclx` the numbers of its colour primaries and its transfer curve (ITU-T H.273).
    """

    coded_pixels: int = 0
    samples_per_pixel: float = _QUARTER
    sample_bytes: int = 1
    nclx: tuple[int, int] | None = None


@dataclass(slots=True)
class _Meta:
    """The parts of a `meta` box: extents by item as (offset, length), offsets in the file or, negative, in `idat`."""

    primary: int = 0
    types: dict[int, bytes] = field(default_factory=dict)
    extents: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    owned: dict[int, list[int]] = field(default_factory=dict)
    inner: bytes = b""
    inner_items: set[int] = field(default_factory=set)


def read_coded_picture(file: IO[bytes], kind: str, name: str) -> CodedPicture:
    """What the boxes of an AVIF or HEIC file say.

    Raises ImageError where an item's bytes are not all there, where it has no still picture, and where its parts are
    far beyond what any encoder writes.
    """
    end = file.seek(0, os.SEEK_END)
    try:
        meta = _parts(_meta_box(file, end, kind, name), name)
    except (IndexError, ValueError) as error:
        text = f"{name} cannot be decoded: the boxes of a damaged {kind} file"
        raise ImageError(text, "it is damaged: save it again", "damaged") from error
    for item, extents in meta.extents.items():
        inside = len(meta.inner) if item in meta.inner_items else end
        if any(start + length > inside for start, length in extents):
            raise _cut(kind, name)
    samples, sample_bytes = _sampling(meta.properties)
    coded = largest_frame(_streams(file, meta, end), name) if kind == "AVIF" else 0
    return CodedPicture(coded, samples, sample_bytes, _nclx(meta))


def _cut(kind: str, name: str) -> ImageError:
    return ImageError(f"{name} is truncated: a file of kind {kind} without its end", CUT_SHORT, "truncated")


def _meta_box(file: IO[bytes], end: int, kind: str, name: str) -> bytes:
    position, moving = 0, False
    for _ in range(_MAX_BOXES):
        file.seek(position)
        head = file.read(16)
        if len(head) < 8:
            break
        size, start = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, start = int.from_bytes(head[8:], "big"), 16
        size = end - position if size == 0 else size
        if head[4:8] == b"meta":
            if position + size > end or size < start:
                raise _cut(kind, name)
            if size > _MAX_META_BYTES:
                raise ImageError(f"{name} has {size >> 20} MB beside its pixels", _SAVE_AGAIN, "hostile")
            file.seek(position + start + 4)
            return file.read(size - start - 4)
        moving = moving or head[4:8] == b"moov"
        position += max(size, 8)
    if moving and position <= end:
        hint = "save the picture of it that you mean as a file of its own"
        raise ImageError(f"{name} is a moving {kind} file without a still picture", hint, "not-an-image")
    raise _cut(kind, name)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes side by side in `data`: their type and what they hold."""
    position = 0
    for _ in range(_MAX_BOXES):
        if position + 8 > len(data):
            return
        size, start = int.from_bytes(data[position : position + 4], "big"), 8
        if size == 1:
            size, start = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        size = len(data) - position if size == 0 else size
        if size < start or position + size > len(data):
            raise ValueError("a box ends outside the one around it")
        yield data[position + 4 : position + 8], data[position + start : position + size]
        position += size


class _Reader:
    """Numbers of so many bytes, one after another; IndexError beyond the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> int:
        self._at += count
        if self._at > len(self._data):
            raise IndexError("a box is too short")
        return int.from_bytes(self._data[self._at - count : self._at], "big")


def _parts(data: bytes, name: str) -> _Meta:
    meta = _Meta()
    for kind, body in _boxes(data):
        match kind:
            case b"pitm":
                meta.primary = int.from_bytes(body[4 : 8 if body[0] else 6], "big")
            case b"iinf":
                for _, entry in _boxes(body[8 if body[0] else 6 :]):
                    wide = 2 if entry[0] >= 3 else 0
                    meta.types[int.from_bytes(entry[4 : 6 + wide], "big")] = entry[8 + wide : 12 + wide]
            case b"iloc":
                _read_locations(body, meta, name)
            case b"idat":
                meta.inner = body
            case b"iprp":
                for inner_kind, inner in _boxes(body):
                    if inner_kind == b"ipco":
                        meta.properties = list(_boxes(inner))
                    elif inner_kind == b"ipma":
                        _read_owners(inner, meta)
    return meta


def _read_locations(body: bytes, meta: _Meta, name: str) -> None:
    version, reader = body[0], _Reader(body[4:])
    sizes = reader.take(2)
    offset_bytes, length_bytes, base_bytes, index_bytes = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15
    count = reader.take(4 if version >= 2 else 2)
    if count > _MAX_ITEMS:
        raise ImageError(f"{name} has {count} items", _SAVE_AGAIN, "hostile")
    left = _MAX_EXTENTS
    for _ in range(count):
        item = reader.take(4 if version >= 2 else 2)
        method = reader.take(2) & 15 if version else 0
        elsewhere = reader.take(2)
        base = reader.take(base_bytes)
        extents, parts = [], reader.take(2)
        left -= parts
        if left < 0:
            raise ImageError(f"{name} has more than {_MAX_EXTENTS} parts of items", _SAVE_AGAIN, "hostile")
        for _ in range(parts):
            if version and index_bytes:
                reader.take(index_bytes)
            offset = reader.take(offset_bytes)
            extents.append((base + offset, reader.take(length_bytes)))
        if method == 1:
            meta.inner_items.add(item)
        if method < 2 and not elsewhere:
            meta.extents[item] = extents


def _read_owners(body: bytes, meta: _Meta) -> None:
    version, wide, reader = body[0], body[3] & 1, _Reader(body[4:])
    for _ in range(reader.take(4)):
        item = reader.take(4 if version else 2)
        numbers = [reader.take(2) & 0x7FFF if wide else reader.take(1) & 0x7F for _ in range(reader.take(1))]
        meta.owned.setdefault(item, []).extend(numbers)


def _sampling(properties: list[tuple[bytes, bytes]]) -> tuple[float, int]:
    """Samples for each pixel and bytes for each sample: the most that any of the file's parts has."""
    samples, sample_bytes = _GREY, 1
    for kind, body in properties:
        if kind == b"av1C" and len(body) > 2:
            coding = body[2]
            deep = coding & 0x40
            found = _GREY if coding & 0x10 else {0x0C: _QUARTER, 0x08: _HALF}.get(coding & 0x0C, _FULL)
        elif kind == b"hvcC" and len(body) > 17:
            deep = body[17] & 7
            found = (_GREY, _QUARTER, _HALF, _FULL)[body[16] & 3]
        else:
            continue
        samples, sample_bytes = max(samples, found), max(sample_bytes, 2 if deep else 1)
    return samples, sample_bytes


def _nclx(meta: _Meta) -> tuple[int, int] | None:
    owned = [meta.properties[number - 1] for number in meta.owned.get(meta.primary, ()) if number]
    # A picture of tiles may leave it to them.
    for kind, body in (*owned, *meta.properties):
        if kind == b"colr" and body[:4] == b"nclx" and len(body) >= 8:
            return int.from_bytes(body[4:6], "big"), int.from_bytes(body[6:8], "big")
    return None


def _streams(file: IO[bytes], meta: _Meta, end: int) -> Iterator[bytes]:
    """The bytes of each item of AV1; each byte of the file once or twice at most."""
    left = 2 * end
    for item, extents in meta.extents.items():
        if meta.types.get(item) != b"av01":
            continue
        parts = []
        for start, length in extents:
            if item in meta.inner_items:
                parts.append(meta.inner[start : start + length])
                continue
            file.seek(start)
            # A length of 0 means up to the end.
            parts.append(file.read(min(length or end, max(left, 0))))
            left -= len(parts[-1])
        yield b"".join(parts)
