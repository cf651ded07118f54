"""The Open Inference Protocol, by the client that others use, unchanged."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import Classifier
from edge_serve.api.open_inference_tensors import InferRequest, parse_request
from edge_serve.http.refusal import Refusal
from serving import Served, picture, serving

http = pytest.importorskip("tritonclient.http")
triton = pytest.importorskip("tritonclient.utils")

PATH = "/v2/models/colours/infer"


@pytest.fixture
def client(served: Served) -> Iterator[Any]:
    with http.InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        yield client


@pytest.fixture(scope="module")
def pixels(rgb_model: Path) -> np.ndarray:
    steps = Classifier(rgb_model).preprocessing
    return np.stack([steps(picture(colour)) for colour in ("lime", "red", "blue")])


def wanted(pixels: np.ndarray, *, binary: bool) -> Any:
    tensor = http.InferInput("image", list(pixels.shape), "UINT8")
    tensor.set_data_from_numpy(pixels, binary_data=binary)
    return tensor


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("colours") and client.is_model_ready("colours", "1")
    assert not client.is_model_ready("other") and not client.is_model_ready("colours", "2")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data", "classification"]
    found = client.get_model_metadata("colours")
    assert found["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 32, 32, 3]}]
    assert found["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}]


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
@pytest.mark.parametrize("version", ["", "1"])
def test_a_batch_is_answered_as_the_classifier_answers(
    client: Any, rgb_model: Path, pixels: np.ndarray, *, binary_in: bool, binary_out: bool, version: str
) -> None:
    outputs = [http.InferRequestedOutput("probabilities", binary_data=binary_out)]
    found = client.infer("colours", [wanted(pixels, binary=binary_in)], version, outputs=outputs, request_id="a1")
    expected = Classifier(rgb_model).probabilities(pixels)
    assert np.allclose(found.as_numpy("probabilities"), expected, atol=1e-6)
    assert found.get_response()["id"] == "a1" and found.get_response()["model_version"] == "1"


def test_without_a_word_of_outputs_all_are_given(client: Any, pixels: np.ndarray) -> None:
    found = client.infer("colours", [wanted(pixels, binary=True)])
    assert found.as_numpy("probabilities").argmax(axis=1).tolist() == [1, 0, 2]


@pytest.mark.parametrize("binary", [False, True])
def test_the_best_classes_with_their_labels(client: Any, pixels: np.ndarray, binary: bool) -> None:
    outputs = [http.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)]
    found = client.infer("colours", [wanted(pixels, binary=True)], outputs=outputs).as_numpy("probabilities")
    texts = [[value.decode() if isinstance(value, bytes) else value for value in row] for row in found]
    assert [row[0].split(":")[1:] for row in texts] == [["1", "green"], ["0", "red"], ["2", "blue"]]
    assert all(len(row) == 2 and 0.9 < float(row[0].split(":")[0]) <= 1 for row in texts)


def test_embeddings_where_the_model_has_them(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    from tiny_model import write_tiny_model

    path = write_tiny_model(tmp_path / "both.onnx")
    model = onnx.load(path)
    # The mean colour goes into the last layer: that is this network's embedding.
    model.graph.node.append(helper.make_node("Identity", ["colour"], ["embedding"]))
    model.graph.output.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 3]))
    onnx.save_model(model, str(path))
    pixels = np.full((2, 32, 32, 3), (10, 20, 30), np.uint8)
    with serving(path) as served, http.InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        assert [each["name"] for each in client.get_model_metadata("both")["outputs"]] == ["probabilities", "embedding"]
        found = client.infer("both", [wanted(pixels, binary=True)])
        assert found.as_numpy("embedding").tolist() == [[10, 20, 30]] * 2
        assert found.as_numpy("probabilities").shape == (2, 3)
        alone = client.infer("both", [wanted(pixels, binary=True)], outputs=[http.InferRequestedOutput("embedding")])
        assert alone.as_numpy("probabilities") is None and alone.as_numpy("embedding").shape == (2, 3)


def test_errors_reach_the_client_in_words(client: Any, pixels: np.ndarray) -> None:
    for model, tensor, said in (
        ("other", wanted(pixels, binary=True), "no such model"),
        ("colours", wanted(np.zeros((1, 8, 8, 3), np.uint8), binary=True), "UINT8 [N, 32, 32, 3]"),
        ("colours", wanted(np.zeros((5, 32, 32, 3), np.uint8), binary=True), "more than 4"),
    ):
        with pytest.raises(triton.InferenceServerException, match=said.replace("[", r"\[")):
            client.infer(model, [tensor])
    with pytest.raises(triton.InferenceServerException, match="no output 'labels'"):
        client.infer("colours", [wanted(pixels, binary=True)], outputs=[http.InferRequestedOutput("labels")])


def good() -> dict[str, Any]:
    return {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 32, 32, 3], "data": [0] * 3072}]}


def changed(**fields: Any) -> dict[str, Any]:
    value = good()
    value["inputs"][0].update(fields)
    return value


WRONG: dict[str, Any] = {
    "no JSON": b"{",
    "not text": b"\xff\xfe",
    "deep": b"[" * 50_000,
    "a list": [],
    "no input": {},
    "two inputs": {"inputs": good()["inputs"] * 2},
    "input no object": {"inputs": [1]},
    "name": changed(name="x"),
    "type": changed(datatype="FP32"),
    "shape": changed(shape=[1, 32, 32]),
    "shape of text": changed(shape=["1", 32, 32, 3]),
    "shape of truths": changed(shape=[True, 32, 32, 3]),
    "none": changed(shape=[0, 32, 32, 3], data=[]),
    "negative": changed(shape=[-1, 32, 32, 3]),
    "too few": changed(data=[0]),
    "ragged": changed(data=[[0], [0, 0]]),
    "words": changed(data=["0"] * 3072),
    "fractions": changed(data=[0.5] * 3072),
    "too large": changed(data=[256] * 3072),
    "far too large": changed(data=[0] * 3071 + [10**30]),
    "below zero": changed(data=[-1] * 3072),
    "truths": changed(data=[True] * 3072),
    "one truth": changed(data=[0] * 3071 + [True]),
    "one fraction": changed(data=[0] * 3071 + [0.5]),
    "a long text among numbers": changed(data=[0] * 3071 + ["a" * 50_000]),
    "deeper than the shape": changed(data=np.zeros((1, 1, 32, 32, 3), int).tolist()),
    "rows of several lengths": changed(data=[[0], [0] * 3071]),
    "nothing": changed(data=None),
    "an object": changed(data={"a": 1}),
    "parameters": changed(parameters=[]),
    "size without bytes": changed(parameters={"binary_data_size": 3072}),
    "outputs": {**good(), "outputs": {}},
    "output no object": {**good(), "outputs": [1]},
    "many outputs": {**good(), "outputs": [{"name": "probabilities"}] * 9},
    "classes": {**good(), "outputs": [{"name": "probabilities", "parameters": {"classification": -1}}]},
    "id": {**good(), "id": 5},
}


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
def test_what_breaks_the_protocol_is_400(served: Served, value: Any) -> None:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    reply = served.ask("POST", PATH, body, {"Content-Type": "application/json"})
    assert reply.status == 400 and isinstance(reply.json()["error"], str), reply.body


def test_what_may_be_left_out_may_be_null(served: Served) -> None:
    """As Go, Java and Pydantic write it."""
    value = {**changed(parameters=None), "id": None, "parameters": None}
    value["outputs"] = [
        {"name": "probabilities", "parameters": None},
        {"name": "probabilities", "parameters": {"classification": None, "binary_data": None}},
    ]
    reply = served.ask("POST", PATH, json.dumps(value).encode(), {"Content-Type": "application/json"})
    assert reply.status == 200 and "id" not in reply.json(), reply.body
    assert [output["datatype"] for output in reply.json()["outputs"]] == ["FP32", "FP32"]


@pytest.mark.parametrize("length", ["-1", "x", "99999", "9999999999", "²", "3"])
def test_a_wrong_length_of_the_header_is_400(served: Served, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length.encode("utf-8").decode("latin-1")}
    assert served.ask("POST", PATH, json.dumps(good()).encode(), headers).status == 400


def test_binary_data_that_nobody_claims_is_400(served: Served) -> None:
    head = json.dumps(good()).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    assert served.ask("POST", PATH, head, headers).status == 200
    assert served.ask("POST", PATH, head + b"x", headers).status == 400


def test_nested_data_is_read_too(served: Served) -> None:
    nested = np.full((1, 32, 32, 3), (0, 0, 255)).tolist()
    reply = served.ask("POST", PATH, json.dumps(changed(data=nested)).encode())
    (output,) = reply.json()["outputs"]
    assert output["shape"] == [1, 3] and np.argmax(output["data"]) == 2


def parsed(value: Any) -> InferRequest:
    return parse_request(json.dumps(value).encode(), None, input_name="image", shape=(32, 32, 3), most_rows=4)


@pytest.mark.parametrize("numbers", [3071, 5000])
def test_a_text_among_numbers_takes_no_more_memory_than_the_request(numbers: int) -> None:
    value = changed(data=[0] * numbers + ["a" * 15_000])
    tracemalloc.start()
    try:
        with pytest.raises(Refusal) as refused:
            parsed(value)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert refused.value.status == 400


@pytest.mark.parametrize("shape", [(3072,), (1, 3072), (1, 1024, 3), (1, 32, 32, 3)])
def test_data_is_taken_at_every_depth_that_the_shape_has(shape: tuple[int, ...]) -> None:
    pixels = np.arange(3072, dtype=np.uint8)
    found = parsed(changed(data=pixels.reshape(shape).tolist())).pixels
    assert found.dtype == np.uint8 and np.array_equal(found, pixels.reshape(1, 32, 32, 3))


def test_what_the_memory_cannot_hold_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("json.loads", full)
    with pytest.raises(Refusal) as refused:
        parsed(good())
    assert refused.value.status == 413
