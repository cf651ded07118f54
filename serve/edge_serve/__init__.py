"""Serve an exported model over HTTP, with a page: what `edge serve` does; and the page of `edge label`.

    from edge_vision import ServeSettings, serve
    serve(ServeSettings(Path("model.onnx")), say=print)

Names are loaded on first use, so that what needs no server (the units, the settings) works without the extra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime import lazy_door

if TYPE_CHECKING:
    from edge_serve.deployment import containerfile, systemd_unit
    from edge_serve.http.limits import ServeLimits
    from edge_serve.http.tokens import read_token
    from edge_serve.labelling.label_server import label_pictures
    from edge_serve.labelling.label_settings import LabelSettings
    from edge_serve.server import serve
    from edge_serve.settings import ServeSettings
else:
    __all__, __getattr__, __dir__ = lazy_door(__name__)
