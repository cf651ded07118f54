"""What the server takes for granted of uvicorn and h11, neither of which promises it: a new minor is tried with this.

It needs nothing but the two, and pytest: `pytest --noconftest tests/serve/test_uvicorn_contract.py`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import h11
import pytest
import uvicorn
from h11._receivebuffer import ReceiveBuffer
from uvicorn.protocols.http.h11_impl import H11Protocol

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def app(scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """Reads the body and answers with it."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    scope["headers"].append((b"seen", b"yes"))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class Protocol(H11Protocol):
    """Notes which of the methods that we override were called, and when."""

    def __init__(self, calls: list[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls = calls
        self.conn = Connection(h11.SERVER, 1000)

    def connection_made(self, transport: Any) -> None:
        self.calls.append("made")
        super().connection_made(Transport(transport))  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.calls.append("data")
        super().data_received(data)

    def eof_received(self) -> None:
        self.calls.append("eof")
        super().eof_received()

    def on_response_complete(self) -> None:
        assert self.cycle.response_complete
        self.calls.append("complete")
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        del msg
        self.calls.append("400")
        if self.cycle is not None:
            # How a request that is being read is broken off.
            assert not self.cycle.response_complete
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        self.transport.write(b"our own answer")
        self.transport.close()


class Transport:
    """A transport of our own around the loop's."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Buffer(ReceiveBuffer):
    """Notes which lines h11 asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, bytes]] = []

    def maybe_extract_next_line(self) -> bytearray | None:
        self.asked.append(("line", bytes(self._data[:5])))
        return super().maybe_extract_next_line()

    def maybe_extract_lines(self) -> list[bytearray] | None:
        self.asked.append(("lines", bytes(self)[:5]))
        return super().maybe_extract_lines()


class Connection(h11.Connection):
    """With a buffer of our own."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._receive_buffer = Buffer()


class Server(uvicorn.Server):
    """Leaves signals alone."""

    captured = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        self.captured = True
        yield


def talk(*pieces: bytes) -> tuple[bytes, list[str]]:
    """What a server says to these pieces, sent one after the other, and what it called meanwhile."""
    calls: list[str] = []

    async def run() -> bytes:
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]
            http=partial(Protocol, calls),  # type: ignore[arg-type]
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
        )
        server = Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.write_eof()
        said = await reader.read()
        writer.close()
        for listener in server.servers:
            listener.close()
        server.should_exit = True
        await asyncio.wait_for(serving, 10)
        assert server.captured
        return said

    return asyncio.run(run()), calls


def test_requests_run_through_what_we_override() -> None:
    said, calls = talk(GET, GET)
    assert said.count(b"HTTP/1.1 200 ") == 2 and b"server:" not in said.lower()
    assert [call for call in calls if call != "eof"] == ["made", "data", "complete", "data", "complete", "lost"]


@pytest.mark.parametrize("pieces", [(b"no HTTP\r\n\r\n",), (CHUNKED, b"zz\r\n")], ids=["head", "chunk"])
def test_what_is_no_http_is_ours_to_answer(pieces: tuple[bytes, ...]) -> None:
    said, calls = talk(*pieces)
    assert said == b"our own answer" and calls.count("400") == 1 and "complete" not in calls


def test_a_body_reaches_the_application_in_chunks_or_not() -> None:
    assert talk(CHUNKED, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n")[0].endswith(b"\r\n\r\nabcde")


def test_uvicorn_is_quiet_by_the_level_of_one_logger() -> None:
    protocol = H11Protocol
    assert 'getLogger("uvicorn.error")' in inspect.getsource(protocol.__init__)
    uvicorn.Config(app, log_config=None, access_log=False)  # type: ignore[arg-type]
    assert not logging.getLogger("uvicorn.access").propagate


def test_the_protocol_is_made_with_names_we_pass_through() -> None:
    assert list(inspect.signature(H11Protocol.__init__).parameters) == [
        "self",
        "config",
        "server_state",
        "app_state",
        "_loop",
    ]


def received(data: bytes) -> tuple[h11.Connection, Buffer, list[object]]:
    connection = Connection(h11.SERVER, 1000)
    connection.receive_data(data)
    events: list[object] = []
    while not events or events[-1] not in (h11.NEED_DATA, h11.PAUSED):
        events.append(connection.next_event())
    return connection, connection._receive_buffer, events  # type: ignore[return-value]


def test_h11_asks_its_buffer_for_heads_chunk_lines_and_trailers() -> None:
    connection, buffer, events = received(CHUNKED + b"3;x\r\nabc\r\n0\r\nX: y\r\n\r\n" + GET)
    assert buffer.asked == [("lines", b"POST "), ("line", b"3;x\r\n"), ("line", b"0\r\nX:"), ("lines", b"X: y\r")]
    assert [type(event) for event in events[:3]] == [h11.Request, h11.Data, h11.EndOfMessage]
    assert events[-1] is h11.PAUSED and connection.trailing_data == (GET, False)
    assert (connection.their_state, connection.our_state) == (h11.DONE, h11.SEND_RESPONSE)


def test_what_the_buffer_raises_is_the_clients_fault_with_our_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Buffer) -> None:
        raise h11.RemoteProtocolError("ours", error_status_hint=431)

    monkeypatch.setattr(Buffer, "maybe_extract_next_line", refuse)
    connection = Connection(h11.SERVER, 1000)
    connection.receive_data(CHUNKED + b"3\r\n")
    assert isinstance(connection.next_event(), h11.Request) and connection.their_state is h11.SEND_BODY
    with pytest.raises(h11.RemoteProtocolError, match="ours") as caught:
        connection.next_event()
    assert caught.value.error_status_hint == 431
    assert (connection.their_state, connection.our_state) == (h11.ERROR, h11.SEND_RESPONSE)
    answer = h11.Response(status_code=400, headers=[("content-length", "2")], reason=b"Bad Request")
    said = [connection.send(event) or b"" for event in (answer, h11.Data(data=b"no"), h11.EndOfMessage())]
    assert b"".join(said) == b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno"


def test_a_request_can_be_made_of_anothers_parts() -> None:
    request = received(GET)[2][0]
    assert isinstance(request, h11.Request)
    headers = list(request.headers)
    assert headers == [(b"host", b"x")]
    other = h11.Request(method=request.method, headers=headers, target=b"/y", http_version=request.http_version)
    assert (other.method, other.target, other.http_version) == (b"GET", b"/y", b"1.1")
