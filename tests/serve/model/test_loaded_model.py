"""What serves is one engine's, be it for one picture or for many beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime import Classifier, EngineChoice, UsageError, keep_engine_choices, open_session
from edge_runtime.model import openvino_session
from edge_serve.model.batching import BatchChoice
from edge_serve.model.loaded_model import load_model
from edge_serve.settings import ServeSettings
from tiny_model import write_tiny_model


def test_the_engine_that_was_chosen_serves_on_all_threads_and_on_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    opened = []

    def play(path: Path, **how: object) -> object:
        assert not how.pop("bfloat16")
        opened.append(how["threads"])
        return open_session(path, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(openvino_session, "open_openvino", play)
    path = write_tiny_model(tmp_path / "model.onnx")
    known = BatchChoice(False, "as asked")
    assert load_model(ServeSettings(path, threads=2), known=known).engine == "onnxruntime" and not opened
    keep_engine_choices(path, [EngineChoice("openvino", 2, 1.0, 2.0, 0.0, 5)])
    loaded = load_model(ServeSettings(path, threads=2), known=known)
    assert loaded.engine == "openvino" and opened == [2, 1]
    assert isinstance(loaded.narrow, Classifier) and loaded.narrow.engine == "openvino"
    assert load_model(ServeSettings(path, threads=2, engine="onnxruntime"), known=known).engine == "onnxruntime"
    assert opened == [2, 1]


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`engine` tensorrt is not known"):
        ServeSettings(tmp_path / "model.onnx", engine="tensorrt")  # type: ignore[arg-type]
