"""Serve an exported model over HTTP, with a page: what `edge serve` does.

    from edge_serve import ServeSettings, serve
    serve(ServeSettings(Path("model.onnx")), say=print)

Names are loaded on first use, so that what needs no server (the units, the settings) works without the extra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime import lazy_door

if TYPE_CHECKING:
    from edge_serve.deployment import containerfile, systemd_unit
    from edge_serve.limits import Limits
    from edge_serve.server import serve
    from edge_serve.settings import BATCHING, Batching, ServeSettings
    from edge_serve.tokens import TOKEN_VARIABLE, read_token

__all__ = [
    "BATCHING",
    "TOKEN_VARIABLE",
    "Batching",
    "Limits",
    "ServeSettings",
    "containerfile",
    "read_token",
    "serve",
    "systemd_unit",
]

_HOMES = {
    "deployment": ["containerfile", "systemd_unit"],
    "limits": ["Limits"],
    "server": ["serve"],
    "settings": ["BATCHING", "Batching", "ServeSettings"],
    "tokens": ["TOKEN_VARIABLE", "read_token"],
}

__getattr__, __dir__ = lazy_door(__name__, _HOMES)
