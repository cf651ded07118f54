"""The ways in beside a plain port: TLS, a Unix socket, a path behind a proxy, pages of another site."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest

from certificates import Certificate, make_certificate
from edge_runtime import EdgeError, UsageError
from edge_serve import ServeSettings
from edge_serve.api.web_page import Page
from edge_serve.http.listen import listen_unix
from edge_serve.http.tls import tls_context
from serving import Reply, Served, picture, serving

APP = "https://app.example"


def test_https_answers_and_plain_http_does_not(rgb_model: Path, certificate: Certificate) -> None:
    with serving(
        rgb_model, "--tls-cert", str(certificate.certificate), "--tls-key", str(certificate.key), "--max-body", "0.1"
    ) as served:
        assert "at https://127.0.0.1:" in served.said()
        trusted = ssl.create_default_context(cafile=str(certificate.certificate))
        connection = http.client.HTTPSConnection("127.0.0.1", served.port, timeout=30, context=trusted)
        for _ in range(2):
            connection.request("POST", "/predict", picture("lime"), {"Content-Type": "image/png"})
            answer = Reply(connection.getresponse())
            assert answer.status == 200 and answer.json()["predictions"][0]["label"] == "green"
        # What is refused before it is read is told, over a connection that cannot be half closed.
        connection.request("POST", "/predict", b"x" * 200_000, {"Content-Type": "image/png"})
        assert Reply(connection.getresponse()).status == 413
        connection.close()
        assert served.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", timeout_s=5) == b""
        assert served.end() == 0
        served.check_log()


def test_files_that_are_no_certificate_are_one_line(tmp_path: Path, certificate: Certificate) -> None:
    pytest.importorskip("cryptography")
    other = make_certificate(tmp_path / "other")
    secret = make_certificate(tmp_path / "secret", b"passphrase")
    text = tmp_path / "text"
    text.write_text("hello")
    for cert, key, message in (
        (tmp_path / "none", None, "cannot be read"),
        (tmp_path, None, "cannot be read"),
        (text, None, "text: "),
        (certificate.certificate, other.key, "mismatch"),
        (certificate.certificate, text, "and"),
        (secret.certificate, secret.key, "is encrypted"),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            tls_context(cert, key)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="needs a certificate"):
        ServeSettings(Path("m.onnx"), tls_key=certificate.key)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


def ask(path: Path, method: str, target: str, body: bytes | None = None, **headers: str) -> Reply:
    connection = UnixConnection(path)
    connection.request(method, target, body, headers)
    reply = Reply(connection.getresponse())
    connection.close()
    return reply


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_successors_socket_stays(rgb_model: Path, tmp_path: Path, workers: str) -> None:
    """Between the end of the listening and that of the process another may begin."""
    path = tmp_path / "edge.sock"
    with serving(rgb_model, "--unix", str(path), "--workers", workers) as served:
        path.unlink()
        with listen_unix(path):
            assert served.end() == 0
            assert path.is_socket()


def test_a_unix_socket_is_its_owners_and_groups_and_gone_afterwards(rgb_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "edge.sock"
    # One that a killed server left.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    with serving(rgb_model, "--unix", str(path)) as served:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660 and f"at {path};" in served.said()
        answer = ask(path, "POST", "/predict", picture("blue"), **{"Content-Type": "image/png"})
        assert answer.json()["predictions"][0]["label"] == "blue"
        with pytest.raises(EdgeError, match="is in use"):
            listen_unix(path)
        assert ask(path, "GET", "/healthz").status == 200
        assert served.end() == 0
        assert not path.exists()
        served.check_log()


def test_what_lies_in_the_sockets_place_is_left_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path, tmp_path / "none" / "s", tmp_path / ("x" * 200)):
        with pytest.raises(UsageError, match="`unix`"):
            listen_unix(path)
    assert (tmp_path / "file").read_text() == "mine"


def test_ipv6_is_listened_on(rgb_model: Path) -> None:
    with serving(rgb_model, "--host", "::1") as served:
        assert "at http://[::1]:" in served.said()
        with closing(http.client.HTTPConnection("::1", served.port, timeout=30)) as connection:
            connection.request("GET", "/model")
            assert Reply(connection.getresponse()).json()["name"] == "colours"


@pytest.fixture(scope="module")
def shared(rgb_model: Path) -> Iterator[Served]:
    """A server below a path, with a token, that pages of one other site may use."""
    token = "0123456789abcdef"
    with serving(rgb_model, "--path-prefix", "/cats", "--cors", APP, "--token", token) as served:
        yield served


TOKEN = {"Authorization": "Bearer 0123456789abcdef"}


@pytest.mark.parametrize("prefix", ["", "/cats"])
def test_a_proxy_may_leave_the_path_or_take_it_off(shared: Served, prefix: str) -> None:
    assert shared.ask("GET", f"{prefix}/").status == 200
    assert shared.ask("GET", f"{prefix}/static/page.js").status == 200
    assert shared.ask("GET", f"{prefix}/healthz").json() == {"status": "ok"}
    assert shared.ask("GET", f"{prefix}/model").status == 401
    assert shared.ask("GET", f"{prefix}/model", headers=TOKEN).json()["name"] == "colours"
    assert shared.ask("GET", f"{prefix}/v2/models/colours", headers=TOKEN).status == 200
    document = shared.ask("GET", f"{prefix}/openapi.json", headers=TOKEN).json()
    assert document["servers"] == [{"url": "/cats"}]
    folder = shared.ask("GET", "/cats")
    assert (folder.status, folder.headers["location"]) == (308, "/cats/")
    assert shared.ask("GET", "/catsup/model", headers=TOKEN).status == 404
    # What is counted is the path that is served, not what a proxy makes of it.
    assert shared.ask("GET", f"{prefix}/metrics", headers=TOKEN).body.count(b'route="/cats') == 0


def test_a_page_of_the_named_site_may_ask_and_read(shared: Served) -> None:
    preflight = {
        "Origin": APP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    allowed = shared.ask("OPTIONS", "/predict", headers=preflight)
    assert (allowed.status, allowed.body) == (204, b"")
    assert allowed.headers["access-control-allow-origin"] == APP and allowed.headers["vary"] == "Origin"
    assert "authorization" in allowed.headers["access-control-allow-headers"]
    asked = {**TOKEN, "Origin": APP, "Sec-Fetch-Site": "cross-site"}
    answer = shared.predict(picture("red"), **asked)
    assert answer.status == 200 and answer.headers["access-control-allow-origin"] == APP
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    # An error is read, too: without its text a programmer would look for it in vain.
    refused = shared.predict(picture("red"), Origin=APP)
    assert refused.status == 401 and refused.headers["access-control-allow-origin"] == APP


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://app.example", "https://app.example:8443", "null", "*"]
)
def test_no_other_page_may(shared: Served, origin: str) -> None:
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    refused = shared.ask("OPTIONS", "/predict", headers={**preflight, **TOKEN})
    assert refused.status == 405 and "access-control-allow-origin" not in refused.headers
    answer = shared.predict(picture("red"), **TOKEN, Origin=origin)
    assert answer.status == 403 and "access-control-allow-origin" not in answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "same-origin" and answer.headers["vary"] == "Origin"


def test_without_cors_nothing_is_said_of_it(served: Served) -> None:
    answer = served.ask("GET", "/healthz", headers={"Origin": APP})
    assert "vary" not in answer.headers and "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", ["*", "app.example", "https://app.example/", "ftp://a", "https://A.example", ""])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(UsageError, match="is no origin"):
        ServeSettings(Path("m.onnx"), cors=(origin,))


@pytest.mark.parametrize("prefix", ["cats", "/", "/cats/", "/a b", "/../x?", "/a//b"])
def test_what_is_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(UsageError, match="is no path"):
        ServeSettings(Path("m.onnx"), path_prefix=prefix)


def test_no_prefix_looks_like_a_path_of_its_own() -> None:
    """/predict that a proxy took something off and /predict that it did not would be one."""
    described = json.loads(files("edge_serve").joinpath("openapi.json").read_text("utf-8"))["paths"]
    own = {path.split("/")[1] for path in (*described, *Page().paths)} - {""}
    assert {"predict", "v2", "static", "openapi.json"} <= own
    for part in own:
        for prefix in (f"/{part}", f"/{part}/cats"):
            with pytest.raises(UsageError, match="the server's own paths"):
                ServeSettings(Path("m.onnx"), path_prefix=prefix)
    assert ServeSettings(Path("m.onnx"), path_prefix="/cats/predict").path_prefix == "/cats/predict"


NGINX = """
daemon off; {user}pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 10m;
        location /cats/ {{
            proxy_pass http://unix:{folder}/edge.sock;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""


@pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx")
def test_behind_nginx_below_a_path_over_a_unix_socket(rgb_model: Path, tmp_path: Path) -> None:
    port = _free_port()
    # Started by root, it would ask as a user who may not enter this folder.
    user = "user root; " if os.geteuid() == 0 else ""
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, port=port, user=user))
    with serving(rgb_model, "--unix", str(tmp_path / "edge.sock"), "--path-prefix", "/cats"):
        nginx = subprocess.Popen(["nginx", "-c", tmp_path / "nginx.conf", "-e", tmp_path / "error.log"])
        try:
            reply = _patiently(port, "/cats/model")
            assert reply.json()["name"] == "colours", (tmp_path / "error.log").read_text()
            body = picture("red")
            origin = f"http://127.0.0.1:{port}"
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
                connection.request("POST", "/cats/predict", body, {"Content-Type": "image/png", "Origin": origin})
                assert Reply(connection.getresponse()).json()["predictions"][0]["label"] == "red"
        finally:
            nginx.terminate()
            nginx.wait(10)


CADDY = """
{{
    admin off
    auto_https off
}}
http://127.0.0.1:{port} {{
    handle_path /cats/* {{
        reverse_proxy unix/{folder}/edge.sock
    }}
}}
"""


@pytest.mark.skipif(shutil.which("caddy") is None, reason="no caddy")
def test_behind_caddy_which_takes_the_path_off(rgb_model: Path, tmp_path: Path) -> None:
    port = _free_port()
    (tmp_path / "Caddyfile").write_text(CADDY.format(folder=tmp_path, port=port))
    own = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    with serving(rgb_model, "--unix", str(tmp_path / "edge.sock")), (tmp_path / "log").open("w") as log:
        caddy = subprocess.Popen(
            ["caddy", "run", "--adapter", "caddyfile", "--config", tmp_path / "Caddyfile"],
            stdout=log,
            stderr=log,
            env=own,
        )
        try:
            assert _patiently(port, "/cats/model").json()["name"] == "colours"
            assert b'href="static/page.css"' in _patiently(port, "/cats/").body
        finally:
            caddy.terminate()
            caddy.wait(10)


# As systemd does it: the socket is number 3, and the process that it is meant for is named.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_socket_that_systemd_listens_on_is_taken_over(rgb_model: Path) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        server = [sys.executable, "-m", "edge_cli", "serve", "--model", str(rgb_model), "--batching", "off"]
        process = subprocess.Popen(
            [sys.executable, "-c", ACTIVATE, str(listening.fileno()), *server],
            pass_fds=[listening.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
    assert process.stderr is not None
    try:
        # The first client need not wait until somebody has started it: the system lets it in.
        assert _patiently(port, "/model").json()["name"] == "colours"
    finally:
        process.terminate()
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 0 and f"at http://127.0.0.1:{port}/" in said


@pytest.mark.parametrize("more", [[], ["--unix", "unused"]])
def test_a_socket_of_systemd_that_lets_others_in_wants_a_token(rgb_model: Path, more: list[str]) -> None:
    with socket.socket() as listening:
        listening.bind(("0.0.0.0", 0))
        listening.listen()
        done = subprocess.run(
            [
                *(sys.executable, "-c", ACTIVATE, str(listening.fileno())),
                *(sys.executable, "-m", "edge_cli", "serve", "--model", str(rgb_model), *more),
            ],
            pass_fds=[listening.fileno()],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2 and "--host 0.0.0.0 lets others in, and there is no token" in done.stderr


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _patiently(port: int, path: str) -> Reply:
    end = time.monotonic() + 20
    while True:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
                connection.request("GET", path)
                return Reply(connection.getresponse())
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_flags_that_exclude_each_other_are_refused(rgb_model: Path, certificate: Certificate, tmp_path: Path) -> None:
    flags = ["--unix", tmp_path / "s", "--tls-cert", certificate.certificate]
    done = subprocess.run(
        [sys.executable, "-m", "edge_cli", "serve", "--model", rgb_model, *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "--unix and --tls-cert exclude each other" in done.stderr
    assert done.stdout == "" and not (tmp_path / "s").exists()
