"""How a server's process speaks with who started it: by its exit code, and with systemd."""

from __future__ import annotations

import contextlib
import os
import socket

INTERRUPTED = 130


def notify(state: str) -> None:
    """Tell systemd, where it started us with Type=notify (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
