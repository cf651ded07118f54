"""The OpenAPI document: a file of this package, completed with what this server was started with."""

from __future__ import annotations

import json
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from edge_serve.settings import ServeSettings


def openapi(settings: ServeSettings) -> dict[str, Any]:
    """OpenAPI 3.1 for every path but the page's; the security scheme is there where a token is."""
    document: dict[str, Any] = json.loads(files("edge_serve").joinpath("openapi.json").read_text("utf-8"))
    document["info"]["version"] = version("edge-vision")
    if settings.path_prefix:
        document["servers"] = [{"url": settings.path_prefix}]
    parameters = document["components"]["parameters"]
    parameters["model"]["schema"] = {"type": "string", "enum": [settings.model_name]}
    if settings.token is None:
        del document["components"]["securitySchemes"], document["security"]
        for path in document["paths"].values():
            for operation in path.values():
                operation.pop("security", None)
                operation["responses"].pop("401", None)
    return document
