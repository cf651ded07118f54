"""Which engine runs a file, and what is said where it cannot."""

from __future__ import annotations

import sys
from pathlib import Path

import onnxruntime
import pytest

from edge_runtime import Classifier, MissingExtraError, UsageError, has_bfloat16, has_xnnpack
from tiny_model import write_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx")


def test_an_unknown_engine_is_refused(model: Path) -> None:
    with pytest.raises(UsageError, match="`engine` tensorrt is not known") as raised:
        Classifier(model, engine="tensorrt")  # type: ignore[arg-type]
    assert "openvino" in raised.value.hint and "auto" in raised.value.hint


def test_openvino_that_is_not_there_is_named_with_its_extra(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.extras.find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    for engine in ("openvino", "openvino-bf16"):
        with pytest.raises(MissingExtraError, match="this needs openvino") as raised:
            Classifier(model, engine=engine)  # type: ignore[arg-type]
        assert "pip install 'edge-vision[fast]'" in raised.value.hint
    assert not has_bfloat16()


def test_exact_arithmetic_is_onnxruntimes(model: Path) -> None:
    with pytest.raises(UsageError, match="`exact`"):
        Classifier(model, exact=True, engine="openvino")


def test_xnnpack_is_taken_only_where_onnxruntime_has_it(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert not has_xnnpack()
    with pytest.raises(UsageError, match="built without XNNPACK"):
        Classifier(model, engine="xnnpack")
    asked = []

    class Noting:
        """Notes what a session is opened with; no build with XNNPACK can be had where this is tested."""

        def __init__(self, _: object, options: onnxruntime.SessionOptions, **how: object) -> None:
            asked.append((options.intra_op_num_threads, how["providers"]))
            raise RuntimeError("noted")

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["XnnpackExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Noting)
    with pytest.raises(Exception, match="noted"):
        Classifier(model, threads=3, engine="xnnpack")
    xnnpack = ("XnnpackExecutionProvider", {"intra_op_num_threads": "3"})
    assert asked == [(1, [xnnpack, "CPUExecutionProvider"])]
