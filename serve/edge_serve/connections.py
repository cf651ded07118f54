"""The clients that are connected: how many, how slow each may be, and who goes first when there are too many."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_serve.limits import Limits
from edge_serve.strict_http import StrictConnection

__all__ = ["Connections", "GuardedProtocol"]

_LINGER_S = 2.0
_LOOK_EVERY_S = 0.25


class Connections:
    """All connections of a server.

    `report` is told of each client that was refused or cut off before its request could be handled: a status and why.
    """

    def __init__(self, limits: Limits, report: Callable[[int, str, str], None]) -> None:
        self.limits = limits
        self.report = report
        self.open: set[GuardedProtocol] = set()

    def made(self, connection: GuardedProtocol) -> None:
        """Count one more; where there are too many, the one that has been waiting for its client longest goes.

        So a crowd that connects and says nothing shuts nobody out.
        """
        self.open.add(connection)
        if len(self.open) > self.limits.connections:
            waiting = [each for each in self.open if each.is_waiting]
            max_wait = min(waiting, key=lambda each: each.since)
            max_wait.cut_off(503, "connections", "too many clients are connected")

    async def look_after(self) -> None:
        """Cut off clients that are too slow, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            now = time.monotonic()
            for connection in list(self.open):
                connection.look(now)


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with a strict parser, and without patience.

    uvicorn waits for a head, and for an answer to be read, as long as it takes; and when it answers before it has read
    a body, it closes the connection, whereupon the system throws away an answer the client has not read yet.
    """

    def __init__(self, connections: Connections, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._all = connections
        limits = connections.limits
        self.conn: StrictConnection = StrictConnection(limits.header_bytes, limits.headers)
        self._timeout_s = limits.timeout_s
        self.since = time.monotonic()
        self._unread_since: float | None = None
        self._lingering_until: float | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it is the client's turn."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY) or self._lingering_until is not None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Lingering(transport, self))  # type: ignore[arg-type]
        self._all.made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.open.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingering_until is not None:
            return
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self.since = time.monotonic()
        super().data_received(data)

    def eof_received(self) -> None:
        if self._lingering_until is not None:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP and close; called by uvicorn."""
        del msg
        status, reason = self.conn.fault
        self.cut_off(status, "protocol", reason)

    def cut_off(self, status: int, kind: str, reason: str) -> None:
        """Answer `status` where nothing has been answered yet, and close."""
        if self._lingering_until is not None:
            self.transport.abort()
            return
        self._all.report(status, kind, reason)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps({"error": reason}).encode()
            headers = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
            response = h11.Response(status_code=status, headers=list(headers.items()))
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def linger(self, transport: asyncio.Transport) -> None:
        """Say that no more will come, and go on reading for a while: closing at once would lose what was just said."""
        if self._lingering_until is None:
            self._lingering_until = time.monotonic() + _LINGER_S
            self._unset_keepalive_if_required()
            self.flow.resume_reading()
            transport.write_eof()

    def look(self, now: float) -> None:
        """Cut the client off if it has kept us waiting for too long."""
        if not self.transport.get_write_buffer_size():
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since > self._timeout_s:
            self._all.report(408, "timeout", "the answer was not read in time")
            self.transport.abort()
            return
        if self._lingering_until is not None:
            if now > self._lingering_until:
                self.transport.abort()
        elif self.conn.their_state is h11.IDLE and now - self.since > self._timeout_s:
            self.cut_off(408, "timeout", f"no whole request came within {self._timeout_s:g} s")


class _Lingering:
    """A transport that closes with patience where the client may still be sending."""

    def __init__(self, transport: asyncio.Transport, protocol: GuardedProtocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        if self.is_closing():
            return
        self._closing = True
        # The client has sent all it will where its part is done, and nothing where it was told nothing.
        if self._protocol.conn.their_state in (h11.SEND_BODY, h11.ERROR):
            self._protocol.linger(self._transport)
        else:
            self._transport.close()
