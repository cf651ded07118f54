"""The OpenAPI document: a file of this package, completed with what this server was started with."""

from __future__ import annotations

import copy
import json
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from edge_serve.settings import ServeSettings

OF_ONE_MODEL = ("/predict", "/model")


def openapi(settings: ServeSettings) -> dict[str, Any]:
    """OpenAPI 3.1 for every path but the pages'; the security scheme is there where a token is.

    What there is of one model alone is there below /models/NAME, too, and of several there only.
    """
    document: dict[str, Any] = json.loads(files("edge_serve").joinpath("openapi.json").read_text("utf-8"))
    document["info"]["version"] = version("edge-vision")
    if settings.path_prefix:
        document["servers"] = [{"url": settings.path_prefix}]
    document["components"]["parameters"]["model"]["schema"] = {"type": "string", "enum": list(settings.models)}
    paths = document["paths"]
    for path in OF_ONE_MODEL:
        paths[f"/models/{{model}}{path}"] = _of_named_model(paths[path])
        if settings.several:
            del paths[path]
    if settings.token is None:
        del document["components"]["securitySchemes"], document["security"]
        for path in document["paths"].values():
            for operation in path.values():
                operation.pop("security", None)
                operation["responses"].pop("401", None)
    return document


def _of_named_model(path: dict[str, Any]) -> dict[str, Any]:
    """The operations of a path of one model, where the path names it."""
    named = copy.deepcopy(path)
    for operation in named.values():
        operation["operationId"] = f"{operation['operationId']}OfNamed"
        operation["parameters"] = [{"$ref": "#/components/parameters/model"}, *operation.get("parameters", [])]
        operation["responses"]["404"] = {"$ref": "#/components/responses/unknown"}
    return named
