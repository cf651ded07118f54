"""A stream of JPEGs, one after another, as cameras and `ffmpeg -f mjpeg` write it to a pipe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from edge_runtime.errors import ImageError

MAX_FRAME_BYTES = 64_000_000
_CHUNK_BYTES = 1 << 16
_START = b"\xff\xd8\xff"
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA
# In a scan's data FF is followed by 0, by a restart marker or by more FF: anything else is the next marker.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def read_frames(stream: BinaryIO) -> Iterator[bytes | ImageError]:
    """The pictures of `stream`, each as soon as its last byte is there, and an ImageError for one that is none.

    What lies between two, as the headers of a multipart stream do, is passed over. A picture that the stream ends in,
    or that is longer than 64 MB, is an error, after which the next picture is looked for.
    """
    source = _Stream(stream)
    number = 0
    while source.find_start():
        number += 1
        length = _length(source)
        if isinstance(length, int):
            yield source.take(length)
        elif length == "end":
            yield ImageError(f"frame {number} is cut short", "the stream ended in it", "truncated")
            return
        else:
            text = f"frame {number} is longer than {MAX_FRAME_BYTES / 1e6:.0f} MB"
            yield ImageError(text, "is it a stream of JPEGs?", "oversized")
            source.take(len(_START))


def _length(source: _Stream) -> int | str:
    """How many bytes the picture at the start of `source` has; "end" or "long" where it has no end that is found."""
    position = 2
    while position < MAX_FRAME_BYTES:
        marker = source.peek(position, 2)
        if len(marker) < 2:
            return "end"
        if marker[0] != 0xFF:
            # Junk between markers: the decoder says what it thinks of it.
            position += 1
        elif marker[1] == _END_OF_IMAGE:
            return position + 2
        elif marker[1] in (0xFF, 0x01) or 0xD0 <= marker[1] <= 0xD8:
            position += 1 if marker[1] == 0xFF else 2
        else:
            length = source.peek(position + 2, 2)
            if len(length) < 2:
                return "end"
            position += 2 + max(2, int.from_bytes(length, "big"))
            if marker[1] == _START_OF_SCAN:
                found = source.search(_AFTER_SCAN, position)
                if isinstance(found, str):
                    return found
                position = found
    return "long"


class _Stream:
    """What of a stream was read and not yet taken, growing as it is asked for more."""

    def __init__(self, stream: BinaryIO) -> None:
        self._read = getattr(stream, "read1", stream.read)
        self._held = bytearray()

    def find_start(self) -> bool:
        """Drop what stands before the next picture; False where none comes."""
        while (at := self._held.find(_START)) < 0:
            del self._held[: max(0, len(self._held) - len(_START) + 1)]
            if not self._more():
                return False
        del self._held[:at]
        return True

    def peek(self, start: int, count: int) -> bytes:
        """`count` bytes from `start`, fewer at the stream's end."""
        while len(self._held) < start + count and self._more():
            pass
        return bytes(self._held[start : start + count])

    def search(self, pattern: re.Pattern[bytes], start: int) -> int | str:
        """Where `pattern`, of two bytes, first stands from `start` on; "end" or "long" where it does not."""
        while not (found := pattern.search(self._held, start)):
            start = max(start, len(self._held) - 1)
            if start > MAX_FRAME_BYTES:
                return "long"
            if not self._more():
                return "end"
        return found.start()

    def take(self, count: int) -> bytes:
        """The first `count` bytes, which are gone then."""
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def _more(self) -> bool:
        chunk = self._read(_CHUNK_BYTES)
        self._held += chunk
        return bool(chunk)
