"""Weights on their way, drawn."""

from __future__ import annotations

from edge_data import OnBytes
from edge_runtime import Progress


def downloading(progress: Progress) -> OnBytes:
    """A listener that draws a download as a task in kilobytes."""
    done_kb = 0

    def on_bytes(received: int, total: int | None) -> None:
        nonlocal done_kb
        if done_kb == 0:
            progress.begin("downloading weights", (total or 0) // 1000, "kB")
        progress.advance(received // 1000 - done_kb)
        done_kb = received // 1000
        if received == total:
            progress.end()

    return on_bytes
