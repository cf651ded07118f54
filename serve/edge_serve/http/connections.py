"""The clients that are connected: how many, how slow each may be, and who goes first when there are too many."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_serve.http.limits import ServeLimits
from edge_serve.http.strict_http import StrictConnection

_LINGER_S = 2.0
_LOOK_EVERY_S = 0.25


class Counted(Protocol):
    """A client that is connected; `since` is when it was last our turn to wait for it, by `time.monotonic`."""

    since: float

    @property
    def is_waiting(self) -> bool:
        """Whether it is the client's turn."""

    def look(self, now: float) -> None:
        """Cut it off if it has kept us waiting for too long."""

    def cut_off(self, status: int, kind: str, reason: str, *, at_once: bool = False) -> None:
        """Close, with a word where there is a way to say it."""

    def abort(self) -> None:
        """Close without a word."""


class Connections:
    """All connections of a server, those that still shake hands over TLS among them.

    `report` is told of each client that was refused or cut off before its request could be handled: a status and why.
    """

    def __init__(self, limits: ServeLimits, report: Callable[[int, str, str], None]) -> None:
        self.limits = limits
        self.report = report
        self.open: set[Counted] = set()
        # Those that were told to go and have not gone yet. They count for nothing but the files they hold.
        self.leaving: set[GuardedProtocol] = set()

    def made(self, connection: Counted) -> None:
        """Count one more; where there are too many, the one that has been waiting for its client longest goes.

        So a crowd that connects and says nothing shuts nobody out.
        """
        self.open.add(connection)
        if len(self.open) > self.limits.connections:
            # The new one is among them.
            waiting = (each for each in self.open if each.is_waiting)
            longest = min(waiting, key=lambda each: each.since)
            longest.cut_off(503, "connections", "too many clients are connected", at_once=True)

    def leave(self, connection: GuardedProtocol) -> bool:
        """Count one less; False where so many are leaving that there is no time for politeness: abort it then."""
        self.open.discard(connection)
        if len(self.leaving) >= self.limits.connections:
            return False
        self.leaving.add(connection)
        return True

    def lost(self, connection: Counted) -> None:
        """The connection is gone."""
        self.open.discard(connection)
        self.leaving.discard(connection)

    async def look_after(self) -> None:
        """Cut off clients that are too slow, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            now = time.monotonic()
            for connection in (*self.open, *self.leaving):
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
        self.transport: Any
        # Through which the client came, where there is TLS.
        self.handshake: Counted | None = None
        self._timeout_s = limits.timeout_s
        self.since = time.monotonic()
        self._unread_since: float | None = None
        self._lingering_until: float | None = None
        self._asks_no_more = False

    @property
    def is_waiting(self) -> bool:
        """Whether it is the client's turn: to ask, to go on asking, to read, or to take leave."""
        asks = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        return asks or self._is_unread or self.transport.is_closing()

    @property
    def _is_unread(self) -> bool:
        """Whether the client has yet to take what it was told."""
        return bool(self.transport.get_write_buffer_size())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_PatientTransport(transport, self))  # type: ignore[arg-type]
        if self.handshake is not None:
            # One client is counted once; and the two hold each other.
            self._all.lost(self.handshake)
            self.handshake = None
        self._all.made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.lost(self)
        super().connection_lost(exc)
        # The two hold each other, and with them what was received: the collector would come for it late.
        self.transport.forget()

    def data_received(self, data: bytes) -> None:
        if self._lingering_until is not None:
            return
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self.since = time.monotonic()
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Called by uvicorn: from here on the client has its whole time again."""
        self.since = time.monotonic()
        super().on_response_complete()
        if self._asks_no_more and not self._owes_an_answer():
            self.transport.close()

    def pause_writing(self) -> None:
        """Called by the transport where the client reads more slowly than it is answered."""
        self.since = time.monotonic()
        super().pause_writing()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Called where the client has ended its half; whether it is still to be answered.

        One that has gone altogether looks the same until it is written to, and ends the connection then.
        """
        if self._lingering_until is not None:
            self.transport.abort()
            return False
        # TLS has no half that can be closed.
        self._asks_no_more = self._owes_an_answer() and self.transport.can_write_eof()
        return self._asks_no_more

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP and close; called by uvicorn."""
        del msg
        status, reason = self.conn.fault
        self.cut_off(status, "protocol", reason)

    def cut_off(self, status: int, kind: str, reason: str, *, at_once: bool = False) -> None:
        """Answer `status` where nothing has been answered yet, and close; `at_once` does not wait till it is read."""
        if self.transport.is_closing():
            if at_once:
                # All was said, and the wait for it to be read, or under TLS for the client's leave, is over.
                self.abort()
            return
        unread = self._is_unread
        self._all.report(status, kind, reason)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._answer(status, reason)
        if not at_once:
            self.transport.close()
        elif unread or not self._all.leave(self):
            self.abort()
        else:
            self.transport.close_at_once()

    def _answer(self, status: int, reason: str) -> None:
        # What was asked with HEAD is answered without a body, and h11 would not let one through.
        bare = self.conn.our_state is h11.SEND_RESPONSE and self.scope["method"] == "HEAD"
        body = b"" if bare else json.dumps({"error": reason}).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
        phrase = HTTPStatus(status).phrase.encode()
        response = h11.Response(status_code=status, headers=list(headers.items()), reason=phrase)
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")

    def abort(self) -> None:
        """Close without a word."""
        # At once: who connects in the same step of the loop is not to find it there still.
        self._all.lost(self)
        self.transport.abort()

    def linger(self) -> None:
        """Say that no more will come, and go on reading for a while: closing at once would lose what was just said."""
        self._unset_keepalive_if_required()
        if not self._all.leave(self):
            self.transport.abort()
            return
        self._lingering_until = time.monotonic() + _LINGER_S
        self.flow.resume_reading()
        self.transport.write_eof()

    def look(self, now: float) -> None:
        """Cut the client off if it has kept us waiting for too long."""
        if not self._is_unread:
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
        elif self._owes_a_head() and now - self.since > self._timeout_s:
            self.cut_off(408, "timeout", f"no whole request came within {self._timeout_s:g} s")

    def _owes_an_answer(self) -> bool:
        """Whether there is a whole request that is not answered yet."""
        whole = self.conn.their_state in (h11.DONE, h11.MUST_CLOSE)
        return whole and self.cycle is not None and not self.cycle.response_complete

    def _owes_a_head(self) -> bool:
        # One that was answered before and has nothing more to ask is closed by uvicorn, without a word.
        idle = self.cycle is not None and not self.conn.trailing_data[0]
        return self.conn.their_state is h11.IDLE and not idle


class _PatientTransport:
    """A transport that lingers when it is closed where the client may still be sending.

    What is written in one step of the loop is sent at once: an answer's head and body are one packet, not two.
    """

    def __init__(self, transport: asyncio.Transport, protocol: GuardedProtocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._closing = False
        self._unsent: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._unsent:
            self._protocol.loop.call_soon(self._send)
        self._unsent.append(data)

    def _send(self) -> None:
        if self._unsent and not self._transport.is_closing():
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def write_eof(self) -> None:
        self._send()
        # TLS has no half that can be closed.
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        if self.is_closing():
            return
        self._closing = True
        # Where its part is done it sends no more, and where it has not begun nothing was said that it could lose.
        if self._protocol.conn.their_state in (h11.SEND_BODY, h11.ERROR):
            self._protocol.linger()
        else:
            self._send()
            self._transport.close()

    def forget(self) -> None:
        del self._protocol

    def close_at_once(self) -> None:
        self._closing = True
        self._send()
        self._transport.close()
        if not self._transport.can_write_eof():
            # TLS would wait for the client's leave, which one that says nothing never takes. Ours is on its way.
            self._transport.abort()
