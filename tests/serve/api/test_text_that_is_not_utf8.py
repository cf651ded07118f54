"""Models whose card holds names that are not UTF-8, which Python reads as lone surrogates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from edge_runtime import Classifier
from edge_serve.observability.prometheus import Metrics
from serving import Served, picture, serving
from tiny_model import write_tiny_model

LABEL, OTHER, FOLDER = "caf\udce9", "Käfer", "F\udcf6tos"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("odd") / "odd.onnx"
    card = Classifier(write_tiny_model(path, labels=(LABEL, OTHER, "c"))).card
    card = replace(card, data={"name": FOLDER, "fingerprint": "x"}, backbone="b\udcff")
    with serving(write_tiny_model(path, card=card)) as server:
        yield server


def test_it_is_described_and_answers_with_them(odd: Served) -> None:
    card = odd.ask("GET", "/model").json()["card"]
    assert card["data"]["name"] == FOLDER and card["labels"][0] == LABEL
    (model,) = odd.ask("GET", "/models").json()["models"]
    assert model["labels"] == [LABEL, OTHER, "c"] and model["backbone"] == "b\udcff"
    reply = odd.predict(picture("red"))
    assert reply.status == 200 and reply.json()["predictions"][0]["label"] == LABEL
    # What is UTF-8 stands as it is.
    assert b'"caf\\udce9"' in reply.body and '"Käfer"'.encode() in reply.body
    assert 'backbone="b\\\\udcff"' in odd.ask("GET", "/metrics").body.decode()


@pytest.mark.parametrize("binary", [True, False])
def test_a_client_of_the_protocol_gets_the_label(odd: Served, *, binary: bool) -> None:
    http = pytest.importorskip("tritonclient.http")
    image = http.InferInput("image", [1, 32, 32, 3], "UINT8")
    image.set_data_from_numpy(np.full((1, 32, 32, 3), (255, 0, 0), np.uint8))
    wanted = http.InferRequestedOutput("probabilities", binary_data=binary, class_count=1)
    with http.InferenceServerClient(f"127.0.0.1:{odd.port}") as client:
        (best,) = client.infer("odd", [image], outputs=[wanted]).as_numpy("probabilities").ravel()
    said = best.decode() if isinstance(best, bytes) else best
    assert said.endswith(":0:caf\\udce9")


def test_the_record_of_drift_is_shown() -> None:
    metrics = Metrics()
    metrics.of("odd").show_drift(lambda: {"labels": {LABEL: 0.75}})
    assert b'edge_drift_label_share{label="caf\\\\udce9"} 0.75' in metrics.exposition()
