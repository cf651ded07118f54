"""A client that has connected and not yet shaken hands over TLS: it counts as those that have, and may take as long."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from asyncio.sslproto import SSLProtocol
from typing import Any

from edge_serve.http.connections import Connections, GuardedProtocol

# asyncio's own bound, which says nothing to anyone, comes after ours.
_BACKSTOP_S = 5


class Handshake(SSLProtocol):
    """asyncio's TLS over a transport, made here rather than by the loop, which tells of a client once it is through."""

    def __init__(self, connections: Connections, protocol: GuardedProtocol, context: ssl.SSLContext) -> None:
        timeout_s = connections.limits.timeout_s
        backstop_s = math.ceil(timeout_s) + _BACKSTOP_S
        super().__init__(
            asyncio.get_running_loop(),
            protocol,
            context,
            None,  # type: ignore[arg-type]  # nobody waits, as for a client that the loop accepts
            server_side=True,
            ssl_handshake_timeout=backstop_s,
            # What is left of an answer is read meanwhile, for which there is as long without TLS.
            ssl_shutdown_timeout=timeout_s,
        )
        self.since = time.monotonic()
        self._all = connections
        self._timeout_s = timeout_s
        self._raw: Any = None
        protocol.handshake = self

    @property
    def is_waiting(self) -> bool:
        """Whether it is the client's turn: it always is."""
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop: the client is there."""
        self._raw = transport
        self._all.made(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the loop: the client has gone."""
        self._all.lost(self)
        super().connection_lost(exc)

    def look(self, now: float) -> None:
        """Cut the client off if it has kept us waiting for too long."""
        if now - self.since > self._timeout_s:
            self.cut_off(408, "timeout", f"no TLS handshake within {self._timeout_s:g} s")

    def cut_off(self, status: int, kind: str, reason: str, *, at_once: bool = True) -> None:
        """Close; there is no way yet to say why to anyone but the log."""
        del at_once
        self._all.report(status, kind, reason)
        self.abort()

    def abort(self) -> None:
        """Close without a word."""
        self._all.lost(self)
        self._raw.abort()


def shaking_hands(connections: Connections, context: ssl.SSLContext, **kwargs: Any) -> Handshake:
    """The protocol of a new client, as uvicorn makes one: `kwargs` are for the HTTP that follows."""
    return Handshake(connections, GuardedProtocol(connections, **kwargs), context)
