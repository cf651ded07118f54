"""Clients of a server over https that do not shake hands, or do and say nothing more."""

from __future__ import annotations

import http.client
import socket
import ssl
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from certificates import Certificate
from serving import Reply, serving


def test_who_shakes_hands_counts_as_a_client_and_has_as_long(rgb_model: Path, certificate: Certificate) -> None:
    flags = ["--tls-cert", certificate.certificate, "--tls-key", certificate.key, "--connections", 4, "--timeout", 2]
    trusted = ssl.create_default_context(cafile=str(certificate.certificate))

    def metric(name: str) -> float:
        with closing(http.client.HTTPSConnection("127.0.0.1", served.port, timeout=30, context=trusted)) as connection:
            connection.request("GET", "/metrics")
            text = Reply(connection.getresponse()).body.decode()
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))

    with serving(rgb_model, *map(str, flags)) as served:
        silent = [socket.create_connection(("127.0.0.1", served.port), timeout=20) for _ in range(3)]
        assert metric("edge_connections") == 4
        # A crowd that says nothing shuts nobody out: the one that has waited longest goes.
        silent += [socket.create_connection(("127.0.0.1", served.port), timeout=20) for _ in range(3)]
        assert metric("edge_connections") == 4
        refused = [served.wait_for("refused", count) for count in (1, 2, 3)]
        assert {line["kind"] for line in refused} == {"connections"}
        assert [each.recv(10) for each in silent[:3]] == [b""] * 3
        # The others have as long as for a request's head, and nobody is told a second time of what is no TLS.
        late = served.wait_for("refused", 4)
        assert (late["status"], late["error"]) == (408, "no TLS handshake within 2 s")
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as wrong:
            wrong.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
            assert wrong.recv(1000) == b""
        silent.append(socket.create_connection(("127.0.0.1", served.port), timeout=20))
        assert served.end() == 0
        served.check_log()
        assert served.log("library") == []
        for each in silent:
            each.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")
def test_a_silent_crowd_over_tls_shuts_nobody_out_and_holds_no_files(rgb_model: Path, certificate: Certificate) -> None:
    """Those that have shaken hands and never take leave, as TLS would have them do."""
    flags = ["--tls-cert", certificate.certificate, "--tls-key", certificate.key, "--connections", 4]
    trusted = ssl.create_default_context(cafile=str(certificate.certificate))

    def connected() -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", served.port), timeout=20)
        return held.enter_context(trusted.wrap_socket(plain, server_hostname="127.0.0.1"))

    with serving(rgb_model, *map(str, flags)) as served, ExitStack() as held:
        files = Path(f"/proc/{served.process.pid}/fd")
        before = len(list(files.iterdir()))
        # One that was answered for good and does not take leave either.
        crowd = [connected()]
        crowd[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert crowd[0].recv(12) == b"HTTP/1.1 200"
        crowd += [connected() for _ in range(19)]
        honest = connected()
        honest.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        said = b""
        while chunk := honest.recv(65_536):
            said += chunk
        assert b"\nedge_connections 4.0\n" in said
        assert len(list(files.iterdir())) <= before + 4
        # Who has waited longest went first, and could read why.
        assert crowd[1].recv(65_536).startswith(b"HTTP/1.1 503 ")
        assert served.end() == 0
        assert served.log("library") == []
