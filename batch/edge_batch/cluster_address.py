"""Whether a cluster answers at an address, before Ray itself tries for many minutes."""

from __future__ import annotations

import socket

CONNECT_S = 10


def why_unanswered(address: str) -> str:
    """Why no Ray cluster answers at `address`, HOST:PORT, ray://HOST:PORT or auto; "" where one may.

    The cluster that auto stands for may have been killed, and Ray remembers it until another is started.
    """
    if address == "auto":
        from ray._private.services import canonicalize_bootstrap_address

        try:
            found = canonicalize_bootstrap_address(address)
        except ConnectionError:
            return "none runs here"
        return "" if found is None or not (why := _closed(found)) else f"the last one here was {found}: {why}"
    return "" if address == "local" else _closed(address)


def _closed(address: str) -> str:
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if not host or not port.isdecimal():
        return "HOST:PORT is needed"
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""
