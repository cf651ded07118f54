"""Pictures as a page shows them: any format edge reads, upright, small, as JPEG, the last ones kept in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from io import BytesIO

from edge_runtime import decode

SIDES_PX = (320, 1280)
"""The longer sides that can be asked for: one of many, and one alone."""

_QUALITY = 85


class Thumbnails:
    """Small pictures from files, at most `most_bytes` of them in memory; what was not asked for longest goes first."""

    def __init__(self, most_bytes: int = 64_000_000) -> None:
        self._most_bytes = most_bytes
        self._held: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._held_bytes = 0
        self._lock = threading.Lock()

    def get(self, place: str, side_px: int, name: str) -> bytes:
        """The JPEG of the picture at `place`, its longer side at most `side_px`; an error calls it `name`.

        Raises ImageError where it cannot be read.
        """
        key = (place, side_px)
        with self._lock:
            if (held := self._held.get(key)) is not None:
                self._held.move_to_end(key)
                return held
        # Draft's bound is of the shorter side, which is never longer than that.
        image = decode(place, reduce_to_px=side_px, name=name)
        image.thumbnail((side_px, side_px))
        file = BytesIO()
        image.save(file, "JPEG", quality=_QUALITY)
        made = file.getvalue()
        with self._lock:
            if key not in self._held:
                self._held[key] = made
                self._held_bytes += len(made)
            while self._held_bytes > self._most_bytes:
                self._held_bytes -= len(self._held.popitem(last=False)[1])
        return made
