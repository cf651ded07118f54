"""A crowd of HTTP clients in one thread: each sends its next request when it has its answer (a closed loop)."""

from __future__ import annotations

import math
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_runtime import EdgeError

_SILENT_S = 60.0
_CHUNK_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a crowd got: seconds for each answer in the order they came, and how long it all took."""

    latencies_s: tuple[float, ...]
    wall_s: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies_s) / self.wall_s

    def percentile_ms(self, percent: float) -> float:
        """The latency that so many percent of the answers do not exceed, nearest rank, in milliseconds."""
        ranked = sorted(self.latencies_s)
        return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)] * 1e3


def post_request(path: str, body: bytes, content_type: str) -> bytes:
    """A POST as it goes over the wire."""
    fields = f"Host: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return f"POST {path} HTTP/1.1\r\n{fields}\r\n".encode() + body


@dataclass(slots=True)
class _Client:
    connection: socket.socket
    request: memoryview = field(default_factory=lambda: memoryview(b""))
    received: bytearray = field(default_factory=bytearray)
    began: float = 0.0


def put_load(port: int, requests: Sequence[bytes], *, clients: int, seconds: float = 0.0, count: int = 0) -> LoadResult:
    """Send `requests` in turns from `clients` connections, for so many seconds or so many answers.

    Those under way at the end are waited for. Raises EdgeError where an answer is not 200, or none comes for a minute.
    """
    crowd = [_Client(socket.create_connection(("127.0.0.1", port))) for _ in range(clients)]
    latencies: list[float] = []
    sent = 0
    with selectors.DefaultSelector() as selector:
        try:
            start = time.perf_counter()
            for client in crowd:
                client.connection.setblocking(False)
                client.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(client.connection, selectors.EVENT_READ | selectors.EVENT_WRITE, client)
                client.request, client.began = memoryview(requests[sent % len(requests)]), time.perf_counter()
                sent += 1
            while selector.get_map():
                ready = selector.select(_SILENT_S)
                if not ready:
                    raise EdgeError(f"the server said nothing for {_SILENT_S:g} s", "its log may say why")
                for key, _ in ready:
                    client = key.data
                    if client.request:
                        _send(selector, client)
                    elif _receive(client):
                        now = time.perf_counter()
                        latencies.append(now - client.began)
                        more = now - start < seconds if not count else sent < count
                        if not more:
                            selector.unregister(client.connection)
                            continue
                        client.request, client.began = memoryview(requests[sent % len(requests)]), now
                        sent += 1
                        _send(selector, client)
            return LoadResult(tuple(latencies), time.perf_counter() - start)
        finally:
            for client in crowd:
                client.connection.close()


def ask(connection: socket.socket, request: bytes) -> None:
    """Send one request on a connection of one's own and wait for its answer. Raises EdgeError where it is not 200."""
    connection.sendall(request)
    client = _Client(connection)
    while not _receive(client):
        pass


def _send(selector: selectors.BaseSelector, client: _Client) -> None:
    try:
        client.request = client.request[client.connection.send(client.request) :]
    except BlockingIOError:
        return
    events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.request else 0)
    selector.modify(client.connection, events, client)


def _receive(client: _Client) -> bool:
    """Whether the whole answer is there."""
    chunk = client.connection.recv(_CHUNK_BYTES)
    if not chunk:
        raise EdgeError("the server closed the connection", "its log may say why")
    client.received += chunk
    head, end, body = client.received.partition(b"\r\n\r\n")
    if not end:
        return False
    lower = head.lower()
    if not lower.startswith(b"http/1.1 200 "):
        raise EdgeError(f"the server answered {bytes(head[9:40])!r}: {bytes(body[:200])!r}")
    at = lower.index(b"content-length:") + len(b"content-length:")
    if len(body) < int(lower[at:].split(b"\r\n", 1)[0]):
        return False
    client.received.clear()
    return True
