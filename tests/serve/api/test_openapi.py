"""The OpenAPI document is what the server does: requests made up from it, answers held to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from edge_serve import ServeSettings
from edge_serve.api.openapi import openapi
from serving import Served

# By the settings of a run of a few seconds; more examples find no more kinds of answers.
EXAMPLES = "25"


@pytest.mark.slow
@pytest.mark.skipif(find_spec("schemathesis") is None, reason="needs schemathesis")
@pytest.mark.parametrize(
    ("server", "paths"), [("served", "^/(predict|model)$"), ("served_two", "^/")], ids=["one model", "two models"]
)
def test_made_up_requests_get_the_answers_that_are_described(
    server: str, paths: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What one model has at other paths than these it has beside others, too."""
    served: Served = request.getfixturevalue(server)
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{served.url}/openapi.json"]
    command += ["--max-examples", EXAMPLES, "--seed", "1", "--phases", "examples,coverage,fuzzing"]
    # That every body the schema allows is taken: no schema can say which bytes are a picture.
    command += ["--exclude-checks", "positive_data_acceptance", "--include-path-regex", paths, "--no-color"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=400, env={**os.environ, "CI": "1"}
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert served.ask("GET", "/healthz").status == 200


def test_of_several_models_each_path_names_its_own(served_two: Served) -> None:
    document = served_two.ask("GET", "/openapi.json").json()
    assert document["components"]["parameters"]["model"]["schema"]["enum"] == ["colours", "lights"]
    paths = document["paths"]
    assert "/predict" not in paths and "/model" not in paths
    for path in ("/models", "/models/{model}/predict", "/models/{model}/model", "/v2/models/{model}/infer"):
        assert path in paths
        for method in paths[path]:
            for name in ("colours", "lights"):
                assert served_two.ask(method.upper(), path.replace("{model}", name), b"").status not in (404, 405)


def test_every_path_is_described_and_every_description_is_a_path(served: Served) -> None:
    document = served.ask("GET", "/openapi.json").json()
    for path, operations in document["paths"].items():
        filled = path.replace("{model}", "colours").replace("{version}", "1")
        for method in operations:
            assert served.ask(method.upper(), filled, b"").status not in (404, 405), path
    described = {path.replace("{model}", "colours").replace("{version}", "1") for path in document["paths"]}
    for path in ("/predict", "/model", "/healthz", "/metrics", "/v2", "/v2/models/colours/versions/1/infer"):
        assert path in described


def test_every_reference_leads_somewhere() -> None:
    document = openapi(ServeSettings(Path("m.onnx"), token="0123456789abcdef"))

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [found for each in value.values() for found in references(each)]
        return [found for each in value for found in references(each)] if isinstance(value, list) else []

    for reference in references(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names)


def test_the_token_is_described_where_there_is_one() -> None:
    open_, locked = (openapi(ServeSettings(Path("m.onnx"), token=token)) for token in (None, "0123456789abcdef"))
    assert "security" not in open_ and "401" not in json.dumps(open_["paths"])
    assert locked["security"] == [{"token": []}]
    assert locked["paths"]["/healthz"]["get"]["security"] == []
    assert locked["components"]["parameters"]["model"]["schema"]["enum"] == ["m"]
