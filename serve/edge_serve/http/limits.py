"""What a client may ask for: sizes, counts and times, so that a stranger cannot fill the memory or hold the line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edge_runtime import MAX_PIXELS, Setting, UsageError, available_memory_bytes, check_settings

# A share of what is free: the rest is for decoding, which needs more than the files do.
_BODIES_SHARE_OF_MEMORY = 4
_BODIES_HELD = 16
_PANEL = "Limits"


@dataclass(frozen=True, slots=True)
class ServeLimits:
    """Limits of one request and of all together; `headers` is their number.

    Raises UsageError where a value makes no sense.
    """

    body_bytes: Annotated[
        int,
        Setting("Largest request.", "MB", _PANEL, flag="--max-body", unit=1e6, at_least=1_000, at_most=2_000_000_000),
    ] = 10_000_000
    pixels: Annotated[
        int,
        Setting(
            "Largest picture, in millions of pixels.",
            "M",
            _PANEL,
            flag="--max-pixels",
            unit=1e6,
            at_least=1_000,
            at_most=MAX_PIXELS,
        ),
    ] = 50_000_000
    files: Annotated[
        int, Setting("Most pictures in a request.", "N", _PANEL, flag="--max-files", at_least=1, at_most=10_000)
    ] = 16
    header_bytes: Annotated[
        int,
        Setting(
            "Most of a request's headers together.",
            "KB",
            _PANEL,
            flag="--max-header",
            unit=1e3,
            at_least=1_000,
            at_most=1_000_000,
        ),
    ] = 16_000
    headers: int = 100
    timeout_s: Annotated[
        float,
        Setting(
            "Longest a client may take for each of headers, body, answer.", "TIME", _PANEL, at_least=0.1, at_most=3_600
        ),
    ] = 10.0
    queue: Annotated[
        int,
        Setting("Pictures that may wait; more are told to come again (429).", "N", _PANEL, at_least=1, at_most=100_000),
    ] = 64
    connections: Annotated[
        int, Setting("Clients at once; the idlest makes room for more.", "N", _PANEL, at_least=1, at_most=100_000)
    ] = 256
    grace_s: Annotated[
        float, Setting("For what was accepted when it is told to end.", "TIME", _PANEL, at_least=0.1, at_most=3_600)
    ] = 10.0

    def __post_init__(self) -> None:
        check_settings(self)
        if self.queue < self.files:
            raise UsageError(
                f"`queue` {self.queue} holds fewer pictures than `files` {self.files} lets one request bring",
                "raise the one or lower the other",
            )

    @property
    def open_files(self) -> int:
        """File descriptors the server may need: every client, as many that are on their way out, and its own."""
        return 2 * self.connections + 256

    @property
    def all_bodies_bytes(self) -> int:
        """What the bodies of all requests together may take: 16 of the largest, or fewer where memory is short.

        Two fit in whatever is free: where one of the largest did not, nobody could send it.
        """
        free = available_memory_bytes()
        wanted = _BODIES_HELD * self.body_bytes
        bound = wanted if free is None else min(wanted, free // _BODIES_SHARE_OF_MEMORY)
        return max(2 * self.body_bytes, bound)
