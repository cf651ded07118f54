"""A file that takes the model's place, looked at by the server."""

from __future__ import annotations

import asyncio
import json
from io import StringIO
from pathlib import Path

import pytest

from edge_serve.model.loaded_model import LoadedModel, load_model
from edge_serve.model.reload import Reloader
from edge_serve.model.served_model import open_models
from edge_serve.observability.prometheus import Metrics
from edge_serve.observability.request_log import RequestLog
from edge_serve.settings import ServeSettings


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("a library's own"), KeyError("key")])
def test_whatever_a_file_makes_a_library_raise_the_next_one_is_looked_at(
    rgb_model: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    metrics, stream = Metrics(), StringIO()

    def fail(*_: object, **__: object) -> LoadedModel:
        raise error

    log = RequestLog(stream)
    with open_models(ServeSettings(rgb_model, batching="off", threads=1), metrics, print) as models:
        (served,) = models.values()
        reloader, old = Reloader(served, log), served.engine.model
        monkeypatch.setattr("edge_serve.model.reload.load_model", fail)
        asyncio.run(reloader.reload())
        assert served.engine.model is old
        monkeypatch.setattr("edge_serve.model.reload.load_model", load_model)
        asyncio.run(reloader.reload())
        assert served.engine.model is not old
        served.engine.close()
    log.close()
    refused, loaded = map(json.loads, stream.getvalue().splitlines())
    assert (refused["event"], loaded["event"]) == ("reload refused", "reloaded")
    assert refused["level"] == "error" and refused["error"].startswith(type(error).__name__)
    assert metrics.registry.get_sample_value("edge_model_reloads_total", {"result": "refused"}) == 1
