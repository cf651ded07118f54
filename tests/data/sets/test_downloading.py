"""Downloads from servers of this machine: whole, or refused in seconds without a trace."""

from __future__ import annotations

import gc
import hashlib
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edge_data.sets.downloading import download
from edge_runtime import WeightsError

BODY = b"weights " * 50_000
NAME = f"net-{hashlib.sha256(BODY).hexdigest()[:8]}.pth"
WAYS_OUT = "fetch it yourself"


@pytest.fixture(autouse=True)
def no_proxy_but_the_tests_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """The URL of a server on this machine that answers every GET with `answer`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{NAME}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def reply(content: bytes, kind: str = "application/octet-stream", length: int | None = None) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content) if length is None else length))
        request.end_headers()
        request.wfile.write(content)

    return answer


def failed_download(url: str, target: Path, *, connect_s: float = 8.0, stall_s: float = 15.0) -> str:
    """The message of a download that fails, without a trace."""
    with pytest.raises(WeightsError) as caught:
        download(url, target, ways_out=WAYS_OUT, connect_s=connect_s, stall_s=stall_s)
    assert url in caught.value.message and caught.value.hint == WAYS_OUT
    assert list(target.parent.glob("*")) == []
    return caught.value.message


def test_a_good_file_arrives_whole_and_reports_its_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with serving(reply(BODY)) as url:
        download(
            url, tmp_path / "new" / NAME, ways_out=WAYS_OUT, progress=lambda done, total: seen.append((done, total))
        )
    assert (tmp_path / "new" / NAME).read_bytes() == BODY
    assert [path.name for path in (tmp_path / "new").iterdir()] == [NAME]
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_redirect_is_followed(tmp_path: Path) -> None:
    def redirect(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", target)
        request.end_headers()

    with serving(reply(BODY)) as target, serving(redirect) as url:
        download(url, tmp_path / NAME, ways_out=WAYS_OUT)
    assert (tmp_path / NAME).read_bytes() == BODY


def test_a_server_that_never_answers_is_given_up_after_the_connect_time(tmp_path: Path) -> None:
    # The connection is accepted by the kernel and then left alone.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{NAME}"
        message = failed_download(url, tmp_path / NAME, connect_s=0.3, stall_s=0.6)
    assert "no answer within 0.3 seconds" in message


def test_a_name_that_is_never_resolved_is_given_up_after_the_connect_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def hanging(*_: object, **__: object) -> None:
        released.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "released")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    try:
        message = failed_download(f"http://weights.invalid/{NAME}", tmp_path / NAME, connect_s=0.3)
    finally:
        released.set()
    assert "no answer within 0.3 seconds" in message


def test_an_answer_that_comes_too_late_is_closed(tmp_path: Path) -> None:
    late, closed = threading.Event(), threading.Event()

    def slow(request: BaseHTTPRequestHandler) -> None:
        late.wait()
        reply(b"")(request)
        # recv returns nothing once the other side has closed.
        request.connection.settimeout(5)
        if request.connection.recv(1) == b"":
            closed.set()

    with serving(slow) as url:
        failed_download(url, tmp_path / NAME, connect_s=0.2)
        late.set()
        assert closed.wait(5)


def test_a_transfer_that_stalls_half_way_is_given_up(tmp_path: Path) -> None:
    done = threading.Event()

    def stall(request: BaseHTTPRequestHandler) -> None:
        reply(BODY[:1000], length=len(BODY))(request)
        done.wait()

    with serving(stall) as url:
        try:
            assert "stalled" in failed_download(url, tmp_path / NAME, stall_s=0.3)
        finally:
            done.set()


def test_a_transfer_that_only_trickles_is_given_up(tmp_path: Path) -> None:
    done = threading.Event()

    def trickle(request: BaseHTTPRequestHandler) -> None:
        reply(b"", length=len(BODY))(request)
        while not done.wait(0.05):
            try:
                request.wfile.write(b"x")
            except OSError:
                return

    with serving(trickle) as url:
        try:
            assert "bytes came in" in failed_download(url, tmp_path / NAME, stall_s=0.3)
        finally:
            done.set()


def test_a_transfer_that_ends_early_is_refused_with_both_sizes(tmp_path: Path) -> None:
    with serving(reply(BODY[:1000], length=len(BODY))) as url:
        message = failed_download(url, tmp_path / NAME)
    assert f"ended after 1000 of {len(BODY)} bytes" in message


def test_a_login_page_in_place_of_the_file_is_called_so(tmp_path: Path) -> None:
    with serving(reply(b"<html>Please log in</html>", "text/html; charset=utf-8")) as url:
        assert "a web page came instead" in failed_download(url, tmp_path / NAME)


def test_other_bytes_than_the_name_promises_are_refused(tmp_path: Path) -> None:
    with serving(reply(BODY[::-1])) as url:
        assert "SHA-256" in failed_download(url, tmp_path / NAME)


@pytest.mark.parametrize(("code", "words"), [(404, "404 Not Found"), (503, "503 Service Unavailable")])
def test_a_server_that_refuses_is_quoted(tmp_path: Path, code: int, words: str) -> None:
    with serving(lambda request: request.send_error(code)) as url:
        assert f"the server says {words}" in failed_download(url, tmp_path / NAME)


def test_what_is_no_http_at_all_is_refused(tmp_path: Path) -> None:
    def babble(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"\x00\x01 hello\r\n")

    with serving(babble) as url:
        failed_download(url, tmp_path / NAME)


def test_a_closed_port_is_refused_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "refused" in failed_download(f"http://127.0.0.1:{port}/{NAME}", tmp_path / NAME)


def test_a_proxy_that_refuses_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_error(403, "Forbidden by policy")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.02,)).start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.server_port}")
        message = failed_download(f"https://weights.invalid/{NAME}", tmp_path / NAME)
        proxy.shutdown()
    assert "403 Forbidden by policy" in message
    with warnings.catch_warnings():
        # Python 3.11.2, Debian 12's, leaves the proxy's answer open for the collector, which may run in another test.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_a_failed_download_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"before")
    with serving(reply(BODY[:1000], length=len(BODY))) as url, pytest.raises(WeightsError):
        download(url, tmp_path / NAME, ways_out=WAYS_OUT)
    assert (tmp_path / NAME).read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("a file where the folder should be")
    with serving(reply(BODY)) as url, pytest.raises(WeightsError) as caught:
        download(url, tmp_path / "hub" / NAME, ways_out=WAYS_OUT)
    assert str(tmp_path / "hub") in caught.value.message
    assert "TORCH_HOME" in caught.value.hint


def test_a_hanging_connection_does_not_keep_the_program_from_ending(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from edge_runtime import WeightsError
from edge_data.sets.downloading import download
try:
    download(sys.argv[1], Path(sys.argv[2]), ways_out='', connect_s=0.2, stall_s=300)
except WeightsError:
    print("given up")
"""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{NAME}"
        command = [sys.executable, "-c", program, url, str(tmp_path / NAME)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "given up\n"
