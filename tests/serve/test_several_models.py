"""Several models on one server: each under its name, on threads that all share."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import Classifier, UsageError
from edge_serve import ServeLimits, ServeSettings, containerfile, systemd_unit
from edge_serve.http.refusal import Refusal
from edge_serve.model.served_model import open_models
from edge_serve.observability.prometheus import Metrics
from serving import Served, form, picture, replace_file, serving
from tiny_model import write_multi_label_model, write_tiny_model

PNG = {"Content-Type": "image/png"}


def label(served: Served, name: str, colour: str = "red") -> str:
    answer = served.ask("POST", f"/models/{name}/predict", picture(colour), PNG).json()
    assert answer["model"] == name
    return str(answer["predictions"][0]["label"])


def test_each_answers_under_its_name(served_two: Served) -> None:
    assert (label(served_two, "colours"), label(served_two, "lights")) == ("red", "bright")
    body, headers = form(("f", "a.png", picture("blue")), ("f", "b.png", picture("lime")))
    found = served_two.ask("POST", "/models/lights/predict?top=1", body, headers).json()["predictions"]
    assert [each["label"] for each in found] == ["dim", "middling"]
    card = served_two.ask("GET", "/models/lights/model").json()
    assert (
        card["name"] == "lights" and card["card"]["labels"][0] == "bright" and card["models"] == ["colours", "lights"]
    )
    listed = served_two.ask("GET", "/models").json()["models"]
    assert [(each["name"], each["labels"][0]) for each in listed] == [("colours", "red"), ("lights", "bright")]
    assert served_two.request_line(served_two.ask("GET", "/models/lights/model").headers["x-request-id"])["model"] == (
        "lights"
    )


def test_a_path_that_names_none_says_where_they_are(served_two: Served) -> None:
    for method, path in (("GET", "/model"), ("POST", "/predict")):
        refused = served_two.ask(method, path, b"")
        assert refused.status == 404 and "/models/NAME" in refused.json()["hint"]
    for path in ("/models/none/", "/models/none/model", "/models/none/static/page.js", "/v2/models/none"):
        refused = served_two.ask("GET", path)
        assert refused.status == 404 and refused.json()["hint"].startswith("GET /models tells"), path
    assert served_two.ask("POST", "/models/none/predict", picture(), PNG).status == 404


def test_each_has_a_page_in_a_folder_of_its_own(served_two: Served) -> None:
    assert b"static/models.js" in served_two.ask("GET", "/").body
    folder = served_two.ask("GET", "/models/lights")
    assert (folder.status, folder.headers["location"]) == (308, "lights/")
    page = served_two.ask("GET", "/models/lights/")
    assert page.status == 200 and b'href="static/page.css"' in page.body
    etag = served_two.ask("GET", "/models/lights/static/page.css").headers["etag"]
    assert served_two.ask("GET", "/models/lights/static/page.css", headers={"If-None-Match": etag}).status == 304
    for path in ("/models/lights/static/server.py", "/models/lights/static/", "/models/lights/other", "/models/"):
        assert served_two.ask("GET", path).status == 404
    # What a client makes of a name is no header of ours.
    odd = served_two.ask("GET", "/models/%0d%0aX-Evil:%20yes")
    assert odd.status == 308 and "x-evil" not in odd.headers and odd.headers["location"].startswith("%0D%0A")


def test_one_model_has_those_paths_too_and_its_own_as_before(served: Served) -> None:
    assert label(served, "colours") == "red"
    assert served.predict(picture("blue")).json()["predictions"][0]["label"] == "blue"
    assert [each["name"] for each in served.ask("GET", "/models").json()["models"]] == ["colours"]
    assert "models" not in served.ask("GET", "/model").json()
    assert b"static/page.js" in served.ask("GET", "/").body == served.ask("GET", "/models/colours/").body
    line = served.request_line(served.ask("GET", "/model").headers["x-request-id"])
    assert "model" not in line


def test_figures_say_which_model_they_are_of(served_two: Served) -> None:
    def images(name: str) -> float:
        return served_two.metric(f'edge_images_total{{model="{name}"}}')

    before = images("colours"), images("lights")
    for _ in range(3):
        label(served_two, "lights")
    assert (images("colours"), images("lights")) == (before[0], before[1] + 3)
    text = served_two.ask("GET", "/metrics").body.decode()
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(set(names)) == len(names)
    for model in ("colours", "lights"):
        assert f'edge_model_info{{backbone="tiny",model="{model}",precision="fp32"}} 1.0' in text
        assert f'edge_model_reloads_total{{model="{model}",result="refused"}} 0.0' in text
        assert f'edge_queue_images{{model="{model}"}} 0.0' in text
    assert 'model="lights",route="/models/{model}/predict",status="200"' in text


def test_the_open_inference_client_finds_both(served_two: Served, rgb_model: Path) -> None:
    http = pytest.importorskip("tritonclient.http")
    steps = Classifier(rgb_model).preprocessing
    with http.InferenceServerClient(f"127.0.0.1:{served_two.port}") as client:
        for name, size in (("colours", 32), ("lights", 16)):
            assert client.is_model_ready(name) and client.is_model_ready(name, "1")
            (image,) = client.get_model_metadata(name)["inputs"]
            assert image["shape"] == [-1, size, size, 3]
            pixels = steps(picture("lime"))[np.newaxis, :size, :size]
            tensor = http.InferInput("image", list(pixels.shape), "UINT8")
            tensor.set_data_from_numpy(np.ascontiguousarray(pixels))
            best = [http.InferRequestedOutput("probabilities", class_count=1)]
            found = client.infer(name, [tensor], outputs=best)
            text = found.as_numpy("probabilities")[0][0].decode()
            assert text.endswith(":1:green" if name == "colours" else ":1:middling")
            assert found.get_response()["model_name"] == name
        assert not client.is_model_ready("none")


def test_one_is_replaced_and_the_other_goes_on(tmp_path: Path) -> None:
    models = {name: write_tiny_model(tmp_path / f"{name}.onnx", (f"{name}-old", "b", "c")) for name in ("one", "two")}
    new = write_tiny_model(tmp_path / "new.onnx", ("one-new", "b", "c"))
    with serving(models, "--reload", "--drift", str(tmp_path / "drift-{model}.jsonl")) as served:
        label(served, "one")
        label(served, "two")
        label(served, "two")
        assert served.metric('edge_drift_window{model="two"}') == 2
        assert served.metric('edge_drift_label_share{label="one-old",model="one"}') == 1
        replace_file(models["one"], new)
        assert served.wait_for("reloaded")["model"] == "one"
        assert (label(served, "one"), label(served, "two")) == ("one-new", "two-old")
        models["two"].write_bytes(b"")
        served.process.send_signal(signal.SIGHUP)
        assert served.wait_for("reload refused")["model"] == "two"
        assert served.wait_for("reloaded", 2)["model"] == "one"
        assert label(served, "two") == "two-old"
        assert served.metric('edge_model_reloads_total{model="two",result="refused"}') >= 1
        assert served.end() == 0
    seen = {name: json.loads((tmp_path / f"drift-{name}.jsonl").read_text().splitlines()[-1]) for name in models}
    assert seen["two"]["images"] == 4 and set(seen["one"]["labels"]) == {"one-new"}


def test_with_a_token_nobody_learns_which_models_there_are(rgb_model: Path) -> None:
    token = "0123456789abcdef"
    with serving({"a": rgb_model, "b": rgb_model}, EDGE_SERVE_TOKEN=token) as served:
        for name in ("a", "none"):
            assert served.ask("GET", f"/models/{name}/").status == 200
            assert served.ask("GET", f"/models/{name}").status == 308
            for path in (f"/models/{name}/model", f"/v2/models/{name}", "/models"):
                assert served.ask("GET", path).status == 401
        own = {"Authorization": f"Bearer {token}"}
        assert served.ask("GET", "/models/a/model", headers=own).status == 200
        assert served.ask("GET", "/models/none/model", headers=own).status == 404


def test_what_is_wrong_with_one_is_said_before_anything_is_served(rgb_model: Path, tmp_path: Path) -> None:
    several = write_multi_label_model(tmp_path / "several.onnx")
    said: list[str] = []
    asked = ServeSettings({"a": rgb_model, "b": tmp_path / "gone.onnx"}, batching="off")
    with pytest.raises(UsageError, match=r"gone\.onnx does not exist"), open_models(asked, Metrics(("a", "b")), print):
        pass
    drift = tmp_path / "{model}.jsonl"
    asked = ServeSettings({"a": rgb_model, "b": several}, batching="off", drift=drift)
    with open_models(asked, Metrics(("a", "b")), said.append) as models:
        assert models["a"].record is not None and models["b"].record is None
        assert said[-1] == "note: no record of drift for b: it is a multi-label model"
        for each in models.values():
            each.engine.close()
    assert not (tmp_path / "b.jsonl").exists()


def test_every_model_is_to_be_signed(rgb_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from edge_runtime import ModelError, SigningKey, new_key, sign_model

    public, _ = new_key(tmp_path / "fleet.pem")
    signed = write_tiny_model(tmp_path / "signed.onnx")
    sign_model(signed, SigningKey(tmp_path / "fleet.pem"))
    asked = ServeSettings({"a": signed, "b": rgb_model}, batching="off", require_signature=(public,))
    with (
        pytest.raises(ModelError, match=r"colours\.onnx is not signed"),
        open_models(asked, Metrics(("a", "b")), print),
    ):
        pass


def test_all_share_one_queue_and_as_many_threads_as_one_has(rgb_model: Path) -> None:
    asked = ServeSettings(
        {"a": rgb_model, "b": rgb_model}, batching="off", threads=2, limits=ServeLimits(queue=4, files=4)
    )
    with open_models(asked, Metrics(("a", "b")), lambda _: None) as models:
        a, b = (models[name].engine for name in "ab")
        go, busy, most = threading.Event(), [0], [0]
        lock = threading.Lock()

        def work() -> None:
            with lock:
                busy[0] += 1
                most[0] = max(most[0], busy[0])
            go.wait()
            with lock:
                busy[0] -= 1

        async def crowd() -> None:
            held = [asyncio.create_task((a if turn % 2 else b).apart(work)) for turn in range(6)]
            await asyncio.sleep(0.05)
            try:
                for engine in (a, b):
                    with pytest.raises(Refusal):
                        engine.check_room()
            finally:
                time.sleep(0.05)
                go.set()
            await asyncio.gather(*held)

        asyncio.run(crowd())
        assert most[0] == 2
        a.close()
        b.close()


@pytest.mark.parametrize(
    ("model", "others", "said"),
    [
        ({}, {}, "no `model`"),
        ({"a b": "x.onnx"}, {}, "'a b' does not fit into an address"),
        ({"../a": "x.onnx"}, {}, "does not fit"),
        ({"a": "x.onnx"}, {"name": "b"}, "`name` is for one file"),
        ({"a": "x.onnx", "b": "x.onnx"}, {"drift": Path("drift.jsonl")}, "would be one record of several models"),
    ],
)
def test_settings_that_make_no_sense_are_refused(model: dict[str, Path], others: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ServeSettings({name: Path(path) for name, path in model.items()}, **others)  # type: ignore[arg-type]


def test_the_unit_and_the_container_name_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ServeSettings({"cats": Path("/srv/a.onnx"), "dogs": Path("b.onnx")})
    assert f"serve --model cats=/srv/a.onnx --model dogs={tmp_path}/b.onnx" in systemd_unit(asked)
    text = containerfile(asked)
    assert 'COPY ["a.onnx", "/model/a.onnx"]\nCOPY ["b.onnx", "/model/b.onnx"]' in text
    assert '"--model", "cats=/model/a.onnx", "--model", "dogs=/model/b.onnx"' in text
    with pytest.raises(UsageError, match=r"m\.onnx would be two files"):
        containerfile(ServeSettings({"a": Path("1/m.onnx"), "b": Path("2/m.onnx")}))
