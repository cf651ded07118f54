"""What the server says of pictures that have several labels, or one for each of several tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edge_runtime import Classifier, ModelError
from edge_serve import ServeSettings
from edge_serve.model.loaded_model import load_model
from serving import Served, picture
from tiny_model import write_multi_label_model, write_multi_task_model


def answers(served: Served, colour: str, query: str = "") -> dict[str, Any]:
    reply = served.predict(picture(colour), query)
    assert reply.status == 200
    (found,) = reply.json()["predictions"]
    return dict(found)


def pixels(*colours: tuple[int, int, int]) -> np.ndarray:
    return np.stack([np.full((32, 32, 3), colour, np.uint8) for colour in colours])


def infer(served: Served, name: str, given: np.ndarray, **request: Any) -> Any:
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(given.shape), "data": given.ravel().tolist()}
    body = json.dumps({"inputs": [tensor], **request}).encode()
    return served.ask("POST", f"/v2/models/{name}/infer", body, {"Content-Type": "application/json"}).json()


def test_all_labels_that_are_given(served_labels: Served) -> None:
    found = answers(served_labels, "yellow", "?top=1&input=true")
    assert [row["label"] for row in found["labels"]] == ["red", "green"] and len(found["top"]) == 1
    assert found["labels"][1]["threshold"] == 0.25 and found["input"].startswith("data:image/png")
    assert answers(served_labels, "black")["labels"] == []
    assert [row["label"] for row in answers(served_labels, "orange", "?min_confidence=0.9")["labels"]] == ["red"]
    assert "label" not in found and "probability" not in found


def test_an_answer_for_each_task(served_tasks: Served) -> None:
    found = answers(served_tasks, "blue", "?top=2&min_confidence=0.9")["tasks"]
    assert list(found) == ["colour", "light"] and found["colour"]["label"] == "blue"
    assert found["light"]["label"] == "unknown" and found["light"]["top"][0]["label"] == "dark"
    assert len(found["colour"]["top"]) == 2


def test_the_card_says_which_kind_it_is(served_labels: Served, served_tasks: Served) -> None:
    card = served_labels.ask("GET", "/model").json()["card"]
    assert (card["kind"], card["thresholds"]) == ("multi-label", [0.5, 0.25, 0.9])
    card = served_tasks.ask("GET", "/model").json()["card"]
    assert card["kind"] == "multi-task" and [task["name"] for task in card["tasks"]] == ["colour", "light"]


def test_open_inference_has_an_output_for_each_task(served_tasks: Served) -> None:
    given = pixels((0, 0, 255), (255, 255, 0))
    outputs = served_tasks.ask("GET", "/v2/models/tasks").json()["outputs"]
    assert outputs == [
        {"name": "probabilities_colour", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "probabilities_light", "datatype": "FP32", "shape": [-1, 2]},
    ]
    found = infer(served_tasks, "tasks", given)["outputs"]
    assert [(each["name"], each["shape"]) for each in found] == [
        ("probabilities_colour", [2, 3]),
        ("probabilities_light", [2, 2]),
    ]
    assert np.array(found[1]["data"]).reshape(2, 2).argmax(axis=1).tolist() == [0, 1]
    asked = [{"name": "probabilities_light", "parameters": {"classification": 1}}]
    (best,) = infer(served_tasks, "tasks", given, outputs=asked)["outputs"]
    assert [text.split(":")[1:] for text in best["data"]] == [["0", "dark"], ["1", "bright"]]
    refused = infer(served_tasks, "tasks", given, outputs=[{"name": "probabilities"}])
    assert "there is no output 'probabilities'" in refused["error"]


def test_open_inference_gives_each_labels_own_probability(served_labels: Served, tmp_path: Path) -> None:
    given = pixels((255, 255, 0))
    (found,) = infer(served_labels, "labels", given)["outputs"]
    expected = Classifier(write_multi_label_model(tmp_path / "m.onnx")).probabilities(given)
    assert found["name"] == "probabilities" and np.allclose(found["data"], expected[0], atol=1e-6)


def test_answers_are_as_the_document_describes_them(served_labels: Served, served_tasks: Served) -> None:
    jsonschema = pytest.importorskip("jsonschema_rs")
    for served, schema in ((served_labels, "labelsPrediction"), (served_tasks, "tasksPrediction")):
        document = served.ask("GET", "/openapi.json").json()
        for other in ("labelsPrediction", "tasksPrediction", "prediction"):
            wanted = {"$ref": f"#/components/schemas/{other}", "components": document["components"]}
            check = jsonschema.validator_for(wanted)
            assert check.is_valid(answers(served, "yellow", "?input=true")) == (other == schema)


@pytest.mark.parametrize("write", [write_multi_label_model, write_multi_task_model])
def test_a_file_that_gives_no_probabilities_is_not_served(write: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx")
    assert load_model(ServeSettings(path, batching="off")).answer("x", np.zeros(5, np.float32)[:5]).image == "x"
    model = onnx.load(path)
    # Logits in the place of probabilities.
    model.graph.node[-1].op_type = "Identity"
    del model.graph.node[-1].attribute[:]
    onnx.save_model(model, str(path))
    with pytest.raises(ModelError, match="gives probabilities"):
        load_model(ServeSettings(path, batching="off"))
