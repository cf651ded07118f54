"""Who may come in, and what every answer has."""

from __future__ import annotations

import io
import json
import logging
import re
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_serve.http.gate import _place
from edge_serve.observability.request_log import RequestLog
from serving import Served, form, picture, serving

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def locked(rgb_model: Path) -> Iterator[Served]:
    with serving(rgb_model, EDGE_SERVE_TOKEN=TOKEN) as server:
        yield server


def test_without_the_token_nothing_is_told(locked: Served) -> None:
    for method, path in (("POST", "/predict"), ("GET", "/model"), ("GET", "/metrics"), ("GET", "/openapi.json")):
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": TOKEN},
            {"Authorization": f"Basic {TOKEN}"},
        ):
            reply = locked.ask(method, path, b"x" if method == "POST" else None, headers)
            assert reply.status == 401, (path, headers)
            assert reply.headers["www-authenticate"].startswith("Bearer")
    assert locked.ask("GET", "/v2/models/colours").status == 401
    assert locked.ask("GET", "/nothing").status == 401


def test_with_the_token_all_is(locked: Served) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert locked.ask("POST", "/predict", picture(), {**headers, "Content-Type": "image/png"}).status == 200
    assert locked.ask("GET", "/model", headers={"Authorization": f"bearer {TOKEN}"}).status == 200
    assert "securitySchemes" in locked.ask("GET", "/openapi.json", headers=headers).json()["components"]


def test_probes_and_the_page_need_none(locked: Served) -> None:
    for path in ("/healthz", "/v2/health/live", "/v2/health/ready", "/", "/static/page.js"):
        assert locked.ask("GET", path).status == 200


def test_the_token_is_in_no_line_of_the_log(locked: Served) -> None:
    reply = locked.ask("GET", "/model?x=secret", headers={"Authorization": f"Bearer {TOKEN}"})
    locked.request_line(reply.headers["x-request-id"])
    assert TOKEN not in locked.said() and "secret" not in locked.said()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:1234", 200),
        ("127.0.0.1", 200),
        ("192.168.1.7:8000", 200),
        ("[::1]:8000", 200),
        (socket.gethostname(), 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("evil.example:8000", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost:evil", 421),
        ("[::1", 421),
        ("", 421),
        ("a b", 421),
        ("localhost@evil.example", 421),
    ],
)
def test_names_that_are_not_ours_are_refused(served: Served, host: str, status: int) -> None:
    assert served.ask("GET", "/healthz", headers={"Host": host}).status == status
    assert served.ask("GET", "/", headers={"Host": host}).status == status


def test_a_name_can_be_allowed(rgb_model: Path) -> None:
    with serving(rgb_model, "--allow-host", "pi.example") as served:
        assert served.ask("GET", "/healthz", headers={"Host": "pi.example:80"}).status == 200
        assert served.ask("GET", "/healthz", headers={"Host": "other.example"}).status == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://localhost:8000", "Host": "localhost:8000"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1", "Host": "localhost:2"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_another_sites_page_may_not_use_it(served: Served, headers: dict[str, str], status: int) -> None:
    reply = served.predict(picture(), **headers)
    assert reply.status == status
    assert "access-control-allow-origin" not in reply.headers


def test_every_answer_has_the_headers_that_browsers_heed(served: Served) -> None:
    page, answer, nothing = served.ask("GET", "/"), served.predict(picture()), served.ask("GET", "/nothing")
    for reply in (page, answer, nothing):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert "unsafe" not in reply.headers["content-security-policy"]
        assert re.fullmatch("[0-9a-f]{16}", reply.headers["x-request-id"])
        assert "server" not in reply.headers
    assert answer.headers["cache-control"] == "no-store"
    assert "camera=(self)" in page.headers["permissions-policy"] and page.headers["x-frame-options"] == "DENY"
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")


def test_other_paths_and_methods_are_404_and_405(served: Served) -> None:
    assert served.ask("GET", "/nothing").status == 404
    assert served.ask("GET", "/predict/").status == 404
    refused = served.ask("GET", "/predict")
    assert refused.status == 405 and refused.headers["allow"] == "POST"
    assert served.ask("TRACE", "/healthz").status == 405
    head = served.ask("HEAD", "/model")
    assert head.status == 200 and head.body == b""


def test_each_request_is_one_line_of_json(served: Served) -> None:
    reply = served.predict(picture("red"))
    identity = reply.headers["x-request-id"]
    line = served.request_line(identity)
    assert (line["method"], line["path"], line["status"], line["images"]) == ("POST", "/predict", 200, 1)
    assert (
        line["client"] == "127.0.0.1"
        and line["bytes_in"] == len(picture("red"))
        and line["bytes_out"] == len(reply.body)
    )
    assert line["ms"] >= line["inference_ms"] > 0 and line["time"].endswith("+00:00")


def test_a_strangers_text_cannot_forge_a_line(served: Served) -> None:
    reply = served.ask("GET", "/x%0a%7b%22event%22:%22forged%22%7d")
    assert served.request_line(reply.headers["x-request-id"])["path"] == '/x\n{"event":"forged"}'
    assert served.log("forged") == []


@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        b"--xYzZY\r\n\0: y\r\n\r\nx\r\n--xYzZY--\r\n",
        b"--xYzZY\r\nA: b\rc\r\n",
        form(("f", "a", b"x"))[0] + b"epilogue",
    ],
)
def test_a_malformed_form_makes_no_line_that_is_no_json(served: Served, body: bytes) -> None:
    reply = served.ask("POST", "/predict", body, {"Content-Type": "multipart/form-data; boundary=xYzZY"})
    served.request_line(reply.headers["x-request-id"])
    served.check_log()


def test_what_libraries_log_and_warn_of_is_json_and_told_once() -> None:
    stream = io.StringIO()
    log = RequestLog(stream)
    with log.libraries(), warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.getLogger("asyncio").error("one\ntwo", exc_info=ValueError("bad"))
        logging.getLogger("python_multipart.multipart").warning("a stranger's mistake")
        warnings.warn("old", UserWarning, stacklevel=1)
    logging.getLogger("asyncio").error("not ours any more")
    log.close()
    failed, warned = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (failed["event"], failed["level"], failed["logger"]) == ("library", "error", "asyncio")
    assert failed["error"].startswith("one\ntwo\n") and "ValueError: bad" in failed["error"]
    assert warned["level"] == "warning" and "UserWarning: old" in warned["error"]


def test_metrics_count_what_happened(served: Served) -> None:
    answered = 'edge_requests_total{method="POST",route="/predict",status="200"}'
    before = (
        served.metric(answered),
        served.metric("edge_images_total"),
        served.metric('edge_errors_total{kind="image"}'),
    )
    served.predict(picture())
    served.predict(b"no picture")
    served.ask("BREW", "/a-path-of-my-own")
    assert served.metric(answered) == before[0] + 1
    assert served.metric("edge_images_total") == before[1] + 1
    assert served.metric('edge_errors_total{kind="image"}') == before[2] + 1
    reply = served.ask("GET", "/metrics")
    text = reply.body.decode()
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    for name in (
        "edge_queue_images",
        "edge_decode_seconds_bucket",
        "edge_inference_seconds_bucket",
        "edge_queue_seconds_sum",
    ):
        assert f"\n{name}" in text
    assert 'edge_model_info{backbone="tiny",model="colours",precision="fp32"} 1.0' in text
    # Strangers make up neither time series nor their names.
    assert "BREW" not in text and "a-path-of-my-own" not in text
    assert 'method="other",route="other",status="404"' in text


def test_the_place_of_a_failure_is_the_line_that_raised() -> None:
    def fail() -> None:
        raise ValueError("x")

    try:
        fail()
    except ValueError as error:
        assert _place(error).startswith("test_gate.py:")
