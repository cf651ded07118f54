"""How large the frames of an AV1 stream are, by its sequence headers (AV1 specification, 5.3 to 5.5).

The decoder makes room for what the stream says, and only then is it scaled to what the file around it claims: a file of
1 kB that claims 64 × 64 pixels may hold a frame of 268 million.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_UNITS = 20_000
_SEQUENCE_HEADER = 1


def largest_frame(streams: Iterable[bytes], name: str) -> int:
    """The pixels of the largest frame that the streams announce, 0 where none does.

    Raises ImageError where a stream is cut into more units than any encoder writes.
    """
    pixels, units = 0, 0
    for stream in streams:
        at = 0
        while at < len(stream):
            head = stream[at]
            at += 2 if head & 4 else 1
            size, at = _leb128(stream, at) if head & 2 else (len(stream) - at, at)
            if head >> 3 & 15 == _SEQUENCE_HEADER:
                pixels = max(pixels, _frame_pixels(stream[at : at + min(size, 512)]))
            at += size
            units += 1
            if units > _MAX_UNITS:
                hint = "no camera writes that: open it in a picture editor and save it again"
                raise ImageError(f"{name} has more than {_MAX_UNITS} AV1 units", hint, "hostile")
    return pixels


def _leb128(stream: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = stream[at] if at < len(stream) else 0
        value |= (byte & 127) << 7 * index
        at += 1
        if byte < 128:
            break
    return value, at


class _Bits:
    """Numbers of so many bits, one after another; zeros beyond the end."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        shifted = self._value >> self._left if self._left >= 0 else 0
        return shifted & ((1 << count) - 1)


def _frame_pixels(header: bytes) -> int:
    bits = _Bits(header)
    bits.take(4)  # seq_profile, still_picture
    if bits.take(1):  # reduced_still_picture_header
        bits.take(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    return (bits.take(width_bits) + 1) * (bits.take(height_bits) + 1)


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.take(1):  # timing_info_present_flag
        bits.take(64)
        if bits.take(1):  # equal_picture_interval, then a number in Golomb's way
            zeros = 0
            while zeros < 32 and not bits.take(1):
                zeros += 1
            bits.take(zeros)
        if bits.take(1):  # decoder_model_info_present_flag
            delay_bits = bits.take(5) + 1
            bits.take(42)
    initial_delays = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay_bits and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if initial_delays and bits.take(1):
            bits.take(4)
