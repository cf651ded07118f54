"""Clients that are slow, silent, many, or do not listen."""

from __future__ import annotations

import socket
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from serving import Served, picture, serving


def connected(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=20)


def everything(connection: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := connection.recv(65_536):
            received += chunk
    except ConnectionError:
        pass
    return received


def drip(connection: socket.socket, data: bytes, every_s: float = 0.1) -> bytes:
    """Send byte by byte until the other side has had enough; what it said."""
    connection.settimeout(0.02)
    received = b""
    for index in range(len(data)):
        try:
            connection.sendall(data[index : index + 1])
            received += connection.recv(65_536)
        except TimeoutError:
            pass
        except ConnectionError:
            return received
        if received:
            connection.settimeout(10)
            return received + everything(connection)
        time.sleep(every_s)
    raise AssertionError("it took all of it")


def test_a_client_that_says_nothing_is_cut_off(served: Served) -> None:
    with connected(served) as connection:
        assert everything(connection).startswith(b"HTTP/1.1 408 ")


def test_a_head_that_comes_byte_by_byte_is_cut_off(served: Served) -> None:
    with connected(served) as connection:
        said = drip(connection, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200)
    assert said.startswith(b"HTTP/1.1 408 ") or said == b""


def test_a_body_that_comes_byte_by_byte_is_cut_off(served: Served) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n"
    with connected(served) as connection:
        connection.sendall(head)
        said = drip(connection, picture() + bytes(500))
    assert said.startswith(b"HTTP/1.1 408 "), said


def test_a_body_that_never_comes_is_cut_off(served: Served) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n"
    assert served.raw(head).startswith(b"HTTP/1.1 408 ")


def test_a_kept_connection_that_falls_silent_is_closed(served: Served) -> None:
    with connected(served) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        said = everything(connection)
    assert said.startswith(b"HTTP/1.1 200 ")


def test_between_two_requests_a_client_may_take_longer_than_for_one(served: Served) -> None:
    connection = HTTPConnection("127.0.0.1", served.port, timeout=10)
    for pause_s in (1.7, 0.0):
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        assert response.read() and response.status == 200
        time.sleep(pause_s)
    connection.close()


def test_a_client_that_does_not_read_is_cut_off(served: Served) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", served.port))
        # As many answers as no system holds back for a client.
        request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        refused = len([line for line in served.log("refused") if line["kind"] == "timeout"])
        try:
            for _ in range(3000):
                connection.sendall(request)
        except (TimeoutError, ConnectionError):
            pass
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if [line for line in served.log("refused") if "not read" in line["error"]]:
                break
            time.sleep(0.05)
        else:
            raise AssertionError(f"still held: {refused}")
    assert served.ask("GET", "/healthz").status == 200


@pytest.mark.parametrize("chunked", [False, True], ids=["stated length", "chunked"])
def test_a_refusal_in_the_middle_of_an_upload_can_be_read(served: Served, chunked: bool) -> None:
    """Closing at once would make the system throw the answer away."""
    size = 5_000_000
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    head += b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size if chunked else b"Content-Length: %d\r\n\r\n" % size
    with connected(served) as connection:
        connection.sendall(head)
        try:
            for _ in range(size // 50_000):
                connection.sendall(bytes(50_000))
                time.sleep(0.005)
        except ConnectionError:
            pass
        said = connection.recv(65_536)
    assert said.startswith(b"HTTP/1.1 413 ") and b"connection: close" in said.lower()


def test_an_upload_that_is_broken_off_is_noted_and_forgotten(served: Served) -> None:
    before = served.metric('edge_errors_total{kind="gone"}')
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n"
    with connected(served) as connection:
        connection.sendall(head + bytes(10))
    end = time.monotonic() + 10
    while served.metric('edge_errors_total{kind="gone"}') == before and time.monotonic() < end:
        time.sleep(0.02)
    assert served.metric('edge_errors_total{kind="gone"}') == before + 1


def test_a_client_that_has_sent_all_and_ended_its_half_is_answered(served: Served) -> None:
    """As `nc -N` and some load balancers do."""
    image = picture("blue")
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
    two = served.raw((head % len(image) + image) * 2, then_close=True)
    assert two.count(b"HTTP/1.1 200 ") == 2 and two.endswith(b"}") and b'"label":"blue"' in two
    # What cannot become whole any more is not waited for, and who has gone holds no place.
    assert served.raw(head % 1000 + image, then_close=True) == b""
    for _ in range(3):
        with connected(served) as connection:
            connection.sendall(head % len(image) + image)
    end = time.monotonic() + 10
    while (left := served.metric("edge_connections")) > 1 and time.monotonic() < end:
        time.sleep(0.02)
    assert left == 1


def test_a_crowd_that_says_nothing_shuts_nobody_out(rgb_model: Path) -> None:
    with serving(rgb_model, "--connections", "20", "--timeout", "30") as served:
        crowd = [connected(served) for _ in range(60)]
        try:
            assert served.predict(picture("blue")).json()["predictions"][0]["label"] == "blue"
            assert served.metric("edge_connections") <= 20
            # Who has waited longest went first.
            assert everything(crowd[0]).startswith(b"HTTP/1.1 503 ")
        finally:
            for connection in crowd:
                connection.close()


def test_a_crowd_that_asks_and_does_not_read_shuts_nobody_out(rgb_model: Path) -> None:
    with serving(rgb_model, "--connections", "4", "--timeout", "60") as served:
        crowd = []
        for _ in range(4):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(20)
            connection.connect(("127.0.0.1", served.port))
            # As many answers as no system holds back for a client.
            connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400)
            crowd.append(connection)
        try:
            # Once its answers are held back here each has as much to read as it will ever have.
            time.sleep(2)
            for _ in range(4):
                assert served.ask("GET", "/healthz").status == 200
            assert served.metric("edge_connections") <= 4
            assert {line["kind"] for line in served.log("refused")} == {"connections"}
        finally:
            for connection in crowd:
                connection.close()


def test_requests_sent_ahead_are_answered_in_order(served: Served) -> None:
    one = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
    data = b"".join(one % len(image) + image for image in (picture("red"), picture("lime"), picture("blue")))
    said = served.raw(data + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert said.count(b"HTTP/1.1 200 ") == 4
    assert said.index(b'"label":"red"') < said.index(b'"label":"green"') < said.index(b'"label":"blue"')
