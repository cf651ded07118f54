"""What a client may ask for: sizes, counts and times, so that a stranger cannot fill the memory or hold the line."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime import MAX_PIXELS, UsageError, available_memory_bytes

__all__ = ["Limits"]

# A share of what is free: the rest is for decoding, which needs more than the files do.
_BODIES_SHARE_OF_MEMORY = 4
_BODIES_HELD = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request and of all together.

    `body_bytes`, `files`, `header_bytes` and `headers` bound a request, `pixels` a picture before it is decoded;
    `timeout_s` bounds how long a client may take for its headers, for its body, and for reading the answer. `queue` is
    how many pictures may wait, `connections` how many clients may be connected, `grace_s` how long accepted requests
    may take after SIGTERM.

    Raises UsageError naming the flag where a value makes no sense.
    """

    body_bytes: int = 10_000_000
    pixels: int = 50_000_000
    files: int = 16
    timeout_s: float = 10.0
    queue: int = 64
    connections: int = 256
    grace_s: float = 10.0
    header_bytes: int = 16_000
    headers: int = 100

    def __post_init__(self) -> None:
        for flag, value, low, high, unit in (
            ("--max-body", self.body_bytes / 1e6, 0.001, 2_000, " MB"),
            ("--max-pixels", self.pixels / 1e6, 0.001, MAX_PIXELS / 1e6, " million"),
            ("--max-files", self.files, 1, 10_000, ""),
            ("--timeout", self.timeout_s, 0.1, 3_600, " s"),
            ("--queue", self.queue, 1, 100_000, ""),
            ("--max-header", self.header_bytes / 1e3, 1, 1_000, " KB"),
            ("--connections", self.connections, 1, 100_000, ""),
            ("--grace", self.grace_s, 0.1, 3_600, " s"),
        ):
            # Not `value < low`: NaN compares false with everything.
            if not low <= value <= high:
                raise UsageError(f"{flag} {value:g} makes no sense", f"from {low:g} to {high:g}{unit}")
        if self.queue < self.files:
            raise UsageError(
                f"--queue {self.queue} holds fewer pictures than --max-files {self.files} lets one request bring",
                "raise the one or lower the other",
            )

    @property
    def open_files(self) -> int:
        """File descriptors the server may need: every client, as many that are on their way out, and its own."""
        return 2 * self.connections + 256

    @property
    def all_bodies_bytes(self) -> int:
        """What the bodies of all requests together may take: 16 of the largest, or less where memory is short."""
        free = available_memory_bytes()
        wanted = _BODIES_HELD * self.body_bytes
        bound = wanted if free is None else min(wanted, free // _BODIES_SHARE_OF_MEMORY)
        return max(2 * self.body_bytes, bound)
