"""POST /predict and GET /model, over a real socket."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from edge_runtime import Classifier, ModelCard, OperatingPoint, Preprocessing, Task
from edge_serve.api.predict_endpoint import card_json
from serving import Served, form, picture, serving
from tiny_model import write_tiny_model


def test_a_raw_picture_is_answered_as_edge_predict_answers(served: Served, rgb_model: Path) -> None:
    reply = served.predict(picture("lime"))
    assert reply.status == 200 and reply.headers["content-type"] == "application/json"
    (found,) = reply.json()["predictions"]
    expected = Classifier(rgb_model).predict(picture("lime")).to_json()
    assert found["label"] == expected["label"] == "green"
    assert found["top"] == expected["top"]
    assert reply.json()["model"] == "colours"
    assert all(reply.json()["timing_ms"][step] >= 0 for step in ("queue", "decode", "inference"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF"])
def test_every_format_is_read_whatever_its_type_says(served: Served, kind: str) -> None:
    for content_type in ("image/png", "application/octet-stream", "image/anything; x=y"):
        reply = served.ask("POST", "/predict", picture("blue", kind=kind), {"Content-Type": content_type})
        assert reply.json()["predictions"][0]["label"] == "blue"
    assert served.ask("POST", "/predict", picture("blue", kind=kind)).status == 200


def test_a_phones_heic_is_read(served: Served) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = BytesIO()
    pillow_heif.from_pillow(Image.open(BytesIO(picture("blue")))).save(buffer)
    reply = served.ask("POST", "/predict", buffer.getvalue(), {"Content-Type": "image/heic"})
    assert reply.json()["predictions"][0]["label"] == "blue"
    assert ".heic" in served.ask("GET", "/").body.decode()


def test_a_form_of_several_files_is_answered_in_order(served: Served) -> None:
    body, headers = form(
        ("file", "1.png", picture("red")),
        ("top", None, b"1"),
        ("other", "C:\\photos\\2.jpg", picture("blue", kind="JPEG")),
        ("file", "../../3.png", picture("lime")),
    )
    found = served.ask("POST", "/predict", body, headers).json()["predictions"]
    assert [(each["image"], each["label"], len(each["top"])) for each in found] == [
        ("1.png", "red", 1),
        ("2.jpg", "blue", 1),
        ("3.png", "green", 1),
    ]


def test_of_several_files_the_good_are_answered_and_the_bad_named(served: Served) -> None:
    body, headers = form(("f", "a.png", picture("red")), ("f", "b.txt", b"hello"), ("f", "c.png", picture()[:60]))
    reply = served.ask("POST", "/predict", body, headers)
    good, text, cut = reply.json()["predictions"]
    assert reply.status == 200 and good["label"] == "red"
    assert "b.txt is not an image" in text["error"] and "text file" in text["hint"] and "label" not in text
    assert cut["error"].startswith("c.png ")


def test_where_none_can_be_read_it_is_422(served: Served) -> None:
    body, headers = form(("f", "a.txt", b"hello"), ("f", "b.txt", b"hello"))
    reply = served.ask("POST", "/predict", body, headers)
    assert reply.status == 422 and len(reply.json()["predictions"]) == 2
    single = served.predict(b"hello, this is no picture")
    assert single.status == 422 and "not an image" in single.json()["error"] and "predictions" not in single.json()


def test_top_and_min_confidence_as_in_edge_predict(served: Served) -> None:
    grey = picture("grey")
    (found,) = served.predict(grey, "?top=2&min_confidence=0.9").json()["predictions"]
    assert found["label"] == "unknown" and len(found["top"]) == 2
    assert found["probability"] == pytest.approx(1 / 3, abs=0.01)
    (sure,) = served.predict(picture("red"), "?min_confidence=0.9").json()["predictions"]
    assert sure["label"] == "red"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("top=0", "top"),
        ("top=-1", "top"),
        ("top=1.5", "top"),
        ("top=abc", "top"),
        ("top=99999999999999", "top"),
        ("top=%C2%B2", "top"),
        ("min_confidence=2", "min_confidence"),
        ("min_confidence=nan", "min_confidence"),
        ("min_confidence=", "min_confidence"),
        ("input=maybe", "input"),
        ("tpo=3", "tpo"),
    ],
)
def test_options_that_mean_nothing_are_422(served: Served, query: str, said: str) -> None:
    reply = served.predict(picture(), f"?{query}")
    assert reply.status == 422 and said in reply.json()["error"]


def test_what_the_model_saw_is_shown_when_asked_for(served: Served, rgb_model: Path) -> None:
    wide = picture("red", (100, 50))
    (found,) = served.predict(wide, "?input=true").json()["predictions"]
    kind, _, data = found["input"].partition(",")
    assert kind == "data:image/png;base64"
    seen = np.asarray(Image.open(BytesIO(base64.b64decode(data))))
    assert np.array_equal(seen, Classifier(rgb_model).preprocessing(wide))
    assert "input" not in served.predict(wide).json()["predictions"][0]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json"}, 415),
        ({"Content-Type": "image/png", "Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "multipart/form-data"}, 400),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 400),
    ],
)
def test_what_cannot_be_read_is_told_by_its_status(served: Served, headers: dict[str, str], status: int) -> None:
    reply = served.ask("POST", "/predict", picture(), headers)
    assert reply.status == status and reply.json()["error"]


@pytest.mark.parametrize("name", ["file", "image", "x" * 200])
@pytest.mark.parametrize("value", [b"photo.jpg", picture("red"), bytes(2000)])
def test_a_part_without_file_name_is_told_to_have_none(served: Served, name: str, value: bytes) -> None:
    """As curl sends it where the @ was forgotten, and libraries where they get bytes instead of a file."""
    body, headers = form((name, None, value))
    reply = served.ask("POST", "/predict", body, headers)
    assert reply.status in (422, 413)
    said = reply.json()
    assert f"part '{name[:50]}" in said["error"] and "has no file name" in said["error"] and len(said["error"]) < 150
    assert "curl -F file=@photo.jpg" in said["hint"]


def test_nothing_is_422(served: Served) -> None:
    assert served.predict(b"").status == 422
    body, headers = form(("top", None, b"1"))
    assert served.ask("POST", "/predict", body, headers).status == 422


def test_a_large_body_is_413_before_it_is_read(served: Served) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100001\r\nExpect: 100-continue\r\n\r\n"
    said = served.raw(head)
    assert said.startswith(b"HTTP/1.1 413 ") and b"100 Continue" not in said
    assert "0.1 MB" in served.predict(bytes(100_001)).json()["error"]
    assert served.predict(picture() + bytes(100_000 - len(picture()))).status == 200


def test_too_many_files_are_413_and_too_many_pixels_422(served: Served) -> None:
    body, headers = form(*[("f", f"{number}.png", picture()) for number in range(5)])
    assert served.ask("POST", "/predict", body, headers).status == 413
    large = picture("red", (500, 401))
    reply = served.predict(large)
    assert reply.status == 422 and "500 × 401" in reply.json()["error"]
    assert served.predict(picture("red", (500, 400))).status == 200


def test_the_limit_of_pixels_also_holds_below_what_is_usual(rgb_model: Path) -> None:
    with serving(rgb_model, "--max-pixels", "20") as served:
        assert served.predict(picture("blue", (4200, 4000))).json()["predictions"][0]["label"] == "blue"
        assert served.predict(picture("blue", (5000, 4001))).status == 422


def test_above_the_queue_clients_are_told_when_to_come_again(rgb_model: Path) -> None:
    with (
        serving(rgb_model, "--queue", "1", "--max-files", "1", "--threads", "1") as served,
        ThreadPoolExecutor(24) as pool,
    ):
        replies = list(pool.map(served.predict, [picture("red", (1500, 1500))] * 48))
        assert {reply.status for reply in replies} == {200, 429}
        assert all(int(reply.headers["retry-after"]) >= 1 for reply in replies if reply.status == 429)
        assert served.metric('edge_errors_total{kind="queue"}') == [reply.status for reply in replies].count(429)
        assert served.predict(picture("red")).status == 200


def test_the_model_is_described_without_paths(served: Served, rgb_model: Path) -> None:
    found = served.ask("GET", "/model").json()
    assert found["name"] == "colours"
    assert found["card"]["labels"] == ["red", "green", "blue"]
    assert found["card"]["preprocessing"]["height"] == 32
    assert found["limits"]["files"] == 4 and found["limits"]["body_bytes"] == 100_000
    assert found["batching"] == {"on": False, "reason": "as asked"}
    assert str(rgb_model.parent) not in json.dumps(found)


def test_paths_in_a_card_are_cut_to_their_last_part() -> None:
    card = {
        "data": {"name": "/home/pi/photos"},
        "members": [{"run": "C:\\runs\\a"}, {"run": "runs/b"}],
        "n": 3,
        "x": "~/y/",
    }
    assert card_json(card) == {
        "data": {"name": "photos"},
        "members": [{"run": "a"}, {"run": "runs/b"}],
        "n": 3,
        "x": "y",
    }


def test_labels_that_look_like_paths_stay_as_the_answers_have_them() -> None:
    labels = ("/m/0bt9lr", "~/x", "C:/y")
    steps = Preprocessing(resize_px=8, height_px=8, width_px=8, interpolation="bilinear")
    one = ModelCard(labels[:2], steps, "tiny", "scratch", data={"name": "/srv/photos"})
    point = OperatingPoint(labels[0], 0.5, 0.9, 10, 5)
    one = replace(one, operating_point=point, members=({"labels": list(labels[:2])},))
    shown = card_json(one.to_json())
    assert shown == {**one.to_json(), "data": {"name": "photos"}}
    tasks = (Task("kind", labels), Task("light", ("/dark", "bright")))
    several = replace(
        one, tasks=tasks, labels=tuple(label for task in tasks for label in task.card_labels), operating_point=None
    )
    assert card_json(several.to_json())["tasks"] == several.to_json()["tasks"]


def test_labels_of_any_kind_come_through(tmp_path: Path) -> None:
    labels = ("<script>alert(1)</script>", "ünïcode 🐝", 'quo"te\n')
    with serving(write_tiny_model(tmp_path / "odd name (1).onnx", labels=labels)) as served:
        assert {row["label"] for row in served.predict(picture()).json()["predictions"][0]["top"]} == set(labels)
        assert served.ask("GET", "/model").json()["name"] == "odd-name--1-"


def test_a_model_that_fails_is_500_without_a_word_of_why(tmp_path: Path) -> None:
    """It divides by the mean colour, so it gives no numbers for black, and passes what is tried at the start."""
    path = write_tiny_model(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.graph.node[2].input[0] = "divided"
    model.graph.node.insert(2, onnx.helper.make_node("Div", ["colour", "colour"], ["divided"]))
    onnx.save_model(model, str(path))
    with serving(path) as served:
        assert served.predict(picture("white")).status == 200
        reply = served.predict(picture("black"))
        assert reply.status == 500 and str(tmp_path) not in reply.body.decode() and "m.onnx" not in reply.body.decode()
        line = served.request_line(reply.headers["x-request-id"])
        assert line["level"] == "error" and "ModelError" in line["error"] and "no numbers" in line["error"]
        assert served.predict(picture("white")).status == 200


def test_no_answer_tells_of_this_machine(served: Served) -> None:
    for reply in (
        served.predict(b"\xff\xd8\xff" + bytes(200)),
        served.predict(picture(kind="TIFF")[:100]),
        served.predict(picture(kind="WEBP")[:40]),
        served.ask("GET", "/../../etc/passwd"),
        served.ask("GET", "/static/..%2f..%2fserver.py"),
        served.ask("GET", "/static/page.py"),
        served.ask("GET", "//etc/passwd"),
        served.ask("DELETE", "/predict"),
    ):
        assert reply.status >= 400
        text = reply.body.decode()
        assert not any(word in text for word in ("Traceback", "/usr", "/home", "/root", ".py", " at 0x", "root:")), text


def test_a_model_with_a_threshold_decides_by_it_as_edge_predict_does(tmp_path: Path) -> None:
    card = ModelCard(
        labels=("red", "lime"),
        preprocessing=Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear"),
        backbone="tiny",
        strategy="scratch",
        operating_point=OperatingPoint("lime", 1e-4, 0.95, 40, 20),
    )
    model = write_tiny_model(tmp_path / "two.onnx", card.labels, card=card)
    with serving(model) as server:
        (found,) = server.predict(picture("red")).json()["predictions"]
        assert server.ask("GET", "/model").json()["card"]["operating_point"]["threshold"] == 1e-4
    assert found["label"] == "lime" == found["positive"] and found["probability"] < 0.01
    assert found["threshold"] == 1e-4 and found["top"][0]["label"] == "red"
