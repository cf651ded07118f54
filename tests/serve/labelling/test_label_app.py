"""What the page's server answers, to whom, and what a stranger's page cannot make it do."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from edge_runtime import Silence
from edge_serve.http.gate import Gate
from edge_serve.http.limits import ServeLimits
from edge_serve.labelling.label_app import LabelPage, build_label_app
from edge_serve.labelling.label_server import open_page
from edge_serve.labelling.label_settings import LabelSettings
from edge_serve.labelling.thumbnails import Thumbnails
from edge_serve.observability.request_log import RequestLog
from tiny_model import write_tiny_model

TOKEN = "0123456789abcdef"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Asked:
    """The application without a socket."""

    def __init__(self, gate: Gate, page: LabelPage) -> None:
        self._gate = gate
        self.page = page

    def ask(self, method: str, path: str, value: Any = None, **headers: str) -> Answer:
        sent = {"host": "127.0.0.1:8001", "authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        sent |= {name.replace("_", "-"): text for name, text in headers.items()}
        body = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        route, _, query = path.partition("?")
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": route,
            "raw_path": route.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), text.encode()) for name, text in sent.items() if text],
            "client": ("127.0.0.1", 1),
        }
        messages: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            messages.append(message)

        asyncio.run(self._gate(scope, receive, send))
        start, *rest = messages
        told = {name.decode(): text.decode() for name, text in start["headers"]}
        return Answer(start["status"], told, b"".join(message.get("body", b"") for message in rest))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for number, colour in enumerate(("red", "lime", "blue")):
        Image.new("RGB", (400, 200), colour).save(tmp_path / f"photos/{number}.png")
    (tmp_path / "photos/3.png").write_bytes(b"no picture")
    return tmp_path


@pytest.fixture
def asked(folder: Path) -> Iterator[Asked]:
    rows = "".join(f"photos/{number}.png,,{answer},0.{number}5\n" for number, answer in enumerate(("a", "b", "b", "")))
    (folder / "answers.csv").write_text(f"path,label,answer,probability\n{rows}photos/gone.png,,,\n")
    yield from serve(LabelSettings(folder / "answers.csv", classes=("b", "c")))


def serve(settings: LabelSettings) -> Iterator[Asked]:
    log = RequestLog(quiet=True)
    with ThreadPoolExecutor(1) as pool:
        page = open_page(settings, Silence())
        hosts, limits = settings.host_check(), ServeLimits()
        yield Asked(build_label_app(page, hosts=hosts, token=TOKEN, limits=limits, log=log, pool=pool), page)
    log.close()


def test_the_list_says_all_there_is_to_know(asked: Asked) -> None:
    told = asked.ask("GET", "/list").json()
    assert told["classes"] == ["b", "c", "a"] and told["out"] == "labels.csv" and not told["review"]
    assert told["next_step"].startswith("edge train --data ")
    assert told["order"] == "uncertain" and told["orders"]["uncertain"] == [0, 1, 2, 3, 4]
    first = {"name": "photos/0.png", "label": "", "done": False, "answer": "a", "probability": 0.05}
    assert told["rows"][0] == first
    assert "no file" in told["rows"][4]["problem"]


def test_labels_are_in_the_file_when_they_are_answered(asked: Asked, folder: Path) -> None:
    done = asked.ask("POST", "/label", {"labels": {"0": "a", "2": "new"}}).json()
    assert done["rows"] == {"0": {"label": "a", "done": True}, "2": {"label": "new", "done": True}}
    assert done["classes"] == ["b", "c", "a", "new"] and done["can_undo"] == 1
    lines = (folder / "labels.csv").read_text().splitlines()
    assert lines[1].startswith("photos/0.png,a,a,0.05,2") and lines[3].startswith("photos/2.png,new,b,0.25,2")
    assert asked.ask("POST", "/undo", {}).json()["rows"]["2"] == {"label": "", "done": False}
    assert (folder / "labels.csv").read_text().splitlines()[3] == "photos/2.png,,b,0.25,"
    assert asked.ask("POST", "/undo", {}).json()["rows"] == {}
    assert asked.ask("POST", "/classes", {"name": " d "}).json()["name"] == "d"


def test_pictures_are_small_and_what_is_none_is_told(asked: Asked, folder: Path) -> None:
    reply = asked.ask("GET", "/picture/0?side=320")
    assert reply.headers["content-type"] == "image/jpeg" and Image.open(BytesIO(reply.body)).size == (320, 160)
    assert Image.open(BytesIO(asked.ask("GET", "/picture/0?side=1280").body)).size == (400, 200)
    for row, said in ((3, "photos/3.png is not an image"), (4, "no file")):
        reply = asked.ask("GET", f"/picture/{row}?side=320")
        assert reply.status == 422 and said in reply.json()["error"] and str(folder) not in reply.body.decode()
    assert asked.ask("GET", "/picture/5").status == 404 and asked.ask("GET", "/picture/0?side=9").status == 400
    for row in ("../labels.csv", "9" * 5000, "00", "x"):
        assert asked.ask("GET", f"/picture/{row}").status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": ""}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"host": "evil.example"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_another_sites_page_changes_nothing(asked: Asked, folder: Path, headers: dict[str, str], status: int) -> None:
    for path, value in (("/label", {"labels": {"0": "a"}}), ("/undo", {}), ("/classes", {"name": "x"})):
        assert asked.ask("POST", path, value, **headers).status == status
    assert not (folder / "labels.csv").exists() and "x" not in asked.page.session.classes


def test_nothing_of_the_list_is_told_without_the_token(asked: Asked) -> None:
    for path in ("/list", "/picture/0"):
        assert asked.ask("GET", path, authorization="").status == 401
        assert asked.ask("GET", path, host="evil.example").status == 421
    page = asked.ask("GET", "/", authorization="")
    assert page.status == 200 and b"label.js" in page.body
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert asked.ask("GET", "/static/label.css", authorization="").status == 200


@pytest.mark.parametrize(
    "value",
    [
        *(b"{", b"[]", b"[" * 100_000, {}),
        *({"labels": labels} for labels in ([], {"x": "a"}, {"²": "a"}, {"0": 1}, {"9": "a"}, {"0": "a\0"})),
        # No number that Python reads, and one row under two names.
        *({"labels": labels} for labels in ({"9" * 5000: "a"}, {"1": "a", "01": "b"})),
    ],
)
def test_what_makes_no_sense_is_refused(asked: Asked, folder: Path, value: Any) -> None:
    assert asked.ask("POST", "/label", value).status == 400
    assert not (folder / "labels.csv").exists()


def test_what_is_not_saved_is_told_and_not_kept(asked: Asked, folder: Path) -> None:
    asked.ask("POST", "/label", {"labels": {"0": "a"}})
    os.utime(folder / "labels.csv", (0, 0))
    reply = asked.ask("POST", "/label", {"labels": {"1": "a"}})
    assert reply.status == 507 and "changed by something else" in reply.json()["error"]
    assert asked.ask("GET", "/list").json()["rows"][1]["label"] == ""


def test_a_model_orders_and_suggests_without_a_list_of_answers(folder: Path) -> None:
    model = write_tiny_model(folder / "m.onnx", ("red", "green", "blue"))
    for asked in serve(LabelSettings(folder / "photos", model=model, threads=1)):
        told = asked.ask("GET", "/list").json()
        assert [row.get("answer") for row in told["rows"]] == ["red", "green", "blue", None]
        assert told["classes"] == ["red", "green", "blue"] and told["orders"]["uncertain"][-1] == 3


def test_mistakes_are_looked_at_again(folder: Path) -> None:
    mistakes = folder / "mistakes.csv"
    mistakes.write_text("path,label,answer,probability,label_probability\nphotos/0.png,b,a,0.9,0.1\n")
    os.utime(mistakes, (1e9, 1e9))
    for asked in serve(LabelSettings(mistakes)):
        told = asked.ask("GET", "/list").json()
        row = told["rows"][0]
        assert told["review"] and told["order"] == "mistakes" and not row["done"]
        assert told["next_step"].startswith(f"edge data list DATA --relabel {folder / 'labels.csv'} --out")
        assert (row["label"], row["of_label"], row["label_probability"]) == ("b", "b", 0.1)
        assert asked.ask("POST", "/label", {"labels": {"0": "b"}}).json()["rows"]["0"]["done"]
    for asked in serve(LabelSettings(mistakes)):
        assert asked.ask("GET", "/list").json()["rows"][0]["done"]
    # A later model makes the same mistake: it is looked at again.
    os.utime(mistakes, (4e9, 4e9))
    for asked in serve(LabelSettings(mistakes)):
        assert not asked.ask("GET", "/list").json()["rows"][0]["done"]
    for asked in serve(LabelSettings(folder / "labels.csv")):
        assert not asked.ask("GET", "/list").json()["review"]


def test_pictures_are_kept_within_bounds(folder: Path) -> None:
    thumbnails = Thumbnails(most_bytes=2_000)
    made = [thumbnails.get(str(folder / f"photos/{number}.png"), 320, "x") for number in range(3)]
    assert len(set(made)) == 3 and sum(map(len, thumbnails._held.values())) <= 2_000
    (folder / "photos/2.png").unlink()
    assert thumbnails.get(str(folder / "photos/2.png"), 320, "x") == made[2]
