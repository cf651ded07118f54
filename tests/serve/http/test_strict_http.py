"""What two programs could read in two ways is refused, and the connection closed."""

from __future__ import annotations

import h11
import pytest

from edge_serve.http.strict_http import StrictConnection
from serving import Served

HOST = b"Host: localhost\r\n"


def first_event(data: bytes) -> object:
    connection = StrictConnection(header_bytes=1000, headers=5)
    connection.receive_data(data)
    return connection.next_event()


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ],
)
def test_plain_requests_are_read(head: bytes) -> None:
    assert isinstance(first_event(head), h11.Request)


AMBIGUOUS = {
    "two lengths that differ": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "two lengths alike": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3, 3\r\n\r\nabc",
    "an endless length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 900 + b"\r\n\r\n",
    "a signed length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc",
    "a negative length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
    "length and chunks": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two encodings": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length : 3\r\n\r\nabc",
    "a folded header": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "lines without carriage returns": b"GET / HTTP/1.1\nHost: localhost\n\n",
    "one line without": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\nContent-Length: 3\r\n\r\n",
    "a bare carriage return": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rY: b\r\n\r\n",
    "a zero byte": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\n" + HOST + b": x\r\n\r\n",
    "an empty line first": b"\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100a5010000a10303") + bytes(40),
    "no HTTP": b"hello\r\n\r\n",
}


@pytest.mark.parametrize("head", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_ambiguous_requests_are_refused(head: bytes) -> None:
    with pytest.raises(h11.RemoteProtocolError):
        first_event(head)


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        (b"http://pi.local:8000/predict?top=1", b"pi.local:8000", b"/predict?top=1"),
        (b"HTTP://[::1]/", b"[::1]", b"/"),
        (b"http://localhost", b"localhost", b"/"),
        (b"http://localhost?top=1", b"localhost", b"/?top=1"),
    ],
)
def test_an_address_as_target_is_a_path_and_a_host(target: bytes, host: bytes, path: bytes) -> None:
    request = first_event(b"GET " + target + b" HTTP/1.1\r\nHost: evil.example\r\nX: y\r\n\r\n")
    assert isinstance(request, h11.Request)
    assert request.target == path and list(request.headers) == [(b"host", host), (b"x", b"y")]


MALFORMED_TARGETS = [
    b"http://",
    b"http:///healthz",
    b"http:/healthz",
    b"http://localhost:x/healthz",
    b"http://user@localhost/healthz",
    b"http://localhost#/healthz",
    b"https://localhost/healthz",
    b"ftp://localhost/healthz",
    b"localhost:80",
    b"healthz",
]


@pytest.mark.parametrize("target", MALFORMED_TARGETS)
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"CONNECT"])
def test_targets_that_are_no_path_and_no_http_address_are_400(served: Served, method: bytes, target: bytes) -> None:
    said = served.raw(method + b" " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert said.startswith(b"HTTP/1.1 400 ") and said.count(b"HTTP/1.1 ") == 1, said


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        (b"http://localhost/healthz", b"localhost", b"200"),
        (b"http://127.0.0.1:8000/healthz", b"evil.example", b"200"),
        (b"http://evil.example/healthz", b"localhost", b"421"),
    ],
)
def test_an_address_as_target_is_served_and_counts_for_more_than_the_host(
    served: Served, target: bytes, host: bytes, status: bytes
) -> None:
    said = served.raw(b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
    assert said.split()[1] == status, said


@pytest.mark.parametrize("encoding", [b"gzip", b"chunked, gzip", b"gzip, chunked", b"xchunked", b"identity"])
def test_encodings_other_than_chunked_are_refused(encoding: bytes) -> None:
    with pytest.raises(h11.RemoteProtocolError) as caught:
        first_event(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: " + encoding + b"\r\n\r\n0\r\n\r\n")
    assert caught.value.error_status_hint == 501


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + HOST + b"X: 1\r\n" * 5 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 1000 + b"\r\n\r\n",
        b"GET /" + b"a" * 1000,
    ],
    ids=["many", "long", "endless line"],
)
def test_too_many_and_too_long_headers_are_refused(head: bytes) -> None:
    connection = StrictConnection(header_bytes=1000, headers=5)
    connection.receive_data(head)
    with pytest.raises(h11.RemoteProtocolError):
        connection.next_event()
    assert connection.fault[0] == 431


def test_a_request_behind_another_is_held_to_the_same() -> None:
    connection = StrictConnection(header_bytes=1000, headers=5)
    good = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
    connection.receive_data(good + AMBIGUOUS["length and chunks"])
    assert isinstance(connection.next_event(), h11.Request)
    assert isinstance(connection.next_event(), h11.Data)
    assert isinstance(connection.next_event(), h11.EndOfMessage)
    connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    connection.start_next_cycle()
    with pytest.raises(h11.RemoteProtocolError):
        connection.next_event()


@pytest.mark.parametrize("head", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_over_a_socket_that_is_one_answer_and_the_end(served: Served, head: bytes) -> None:
    smuggled = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    said = served.raw(head + smuggled)
    assert said.count(b"HTTP/1.1 ") == 1, said
    assert said.split()[1] in (b"400", b"501", b"505") and b"connection: close" in said.lower()
    assert b"edge_requests" not in said and b"Traceback" not in said


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\nabc\r\n",
        b"-3\r\nabc\r\n",
        b"3\r\nabcXX",
        b"ffffffffffffffffffff1\r\n",
        b"0x3\r\nabc\r\n",
        b"3 \nabc\r\n",
        b"\r\n",
        b"zz",
        b"f" * 17,
        b"0" * 16 + b"1\r\na\r\n",
        b"3;" + b"a" * 255,
        b"3;" + b"a" * 255 + b"\r\nabc\r\n",
        b"3;a\rb\r\nabc\r\n",
        b"3;a\r\r\nabc\r\n",
        b"3;a\nb\r\nabc\r\n",
        b"3;\0\r\nabc\r\n",
        b"3\r\nabc\r\n0\r\n\n",
        b"3\r\nabc\r\n0\r\nX: y\n\n",
        b"3\r\nabc\r\n0\r\nX: y\nZ: y\r\n\r\n",
        b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n",
    ],
)
@pytest.mark.parametrize("method", [b"POST", b"HEAD"])
def test_bad_chunks_are_400_and_the_end_at_once(served: Served, method: bytes, chunks: bytes) -> None:
    late = len(served.log("refused"))
    head = method + b" /predict HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    said = served.raw(head + chunks)
    assert said.startswith(b"HTTP/1.1 400 ") and said.count(b"HTTP/1.1 ") == 1, said
    assert {line["kind"] for line in served.log("refused")[late:]} <= {"protocol"}
    assert "Traceback" not in served.said()


@pytest.mark.parametrize(
    "trailer", [b"X: 1\r\n" * 7, b"X: " + b"a" * 1000 + b"\r\n", b"X: " + b"a" * 1000], ids=["many", "long", "endless"]
)
def test_a_trailer_is_held_to_the_limits_of_a_head(trailer: bytes) -> None:
    connection = StrictConnection(header_bytes=1000, headers=5)
    end = b"" if trailer.endswith(b"a") else b"\r\n"
    connection.receive_data(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + trailer + end)
    assert isinstance(connection.next_event(), h11.Request)
    with pytest.raises(h11.RemoteProtocolError):
        connection.next_event()
    assert connection.fault[0] == 431


def test_good_chunks_are_read_in_pieces_of_any_size() -> None:
    chunks = b"3;name=value\r\nabc\r\n0000000000000002; x\r\nde\r\n0\r\nX: y\r\n\r\n"
    data = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
    for piece in (1, 2, 7, len(data)):
        connection = StrictConnection(header_bytes=1000, headers=5)
        body, ended = b"", False
        for start in range(0, len(data), piece):
            connection.receive_data(data[start : start + piece])
            while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                body += event.data if isinstance(event, h11.Data) else b""
                ended = isinstance(event, h11.EndOfMessage)
                if ended:
                    break
        assert body == b"abcde" and ended


def test_a_request_behind_chunks_is_no_trailer(served: Served) -> None:
    data = b"POST /predict HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n0\r\n\r\n"
    behind = b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 98 + b"Connection: close\r\n\r\n"
    assert b"HTTP/1.1 200 " in served.raw(data + behind)


def test_ten_thousand_headers_are_431(served: Served) -> None:
    head = b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + b"\r\n"
    said = served.raw(head)
    assert said.startswith(b"HTTP/1.1 431 "), said[:100]
    assert served.ask("GET", "/healthz").status == 200
