"""An engine is timed where it answers as onnxruntime does, or loses no more accuracy than was allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_benchmarks import Contestant, engines_here, hold_engines
from edge_benchmarks.models import engine_parity
from edge_data import EvaluationData
from edge_runtime import METADATA_KEY, Classifier, ModelError, Sample, UsageError
from edge_runtime.model.onnx_bytes import read_metadata, with_metadata
from other_models import write_foreign
from tiny_model import write_multi_label_model, write_multi_task_model, write_tiny_model
from unlike_model import write_unlike_model

Other = Callable[[Path], None]


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Other:
    """Let another file answer where an engine is asked for: what an engine would have to answer to be refused."""

    def answer_by(path: Path) -> None:
        def opened(model: Path, *, engine: str = "onnxruntime") -> Classifier:
            return Classifier(model if engine == "onnxruntime" else path)

        monkeypatch.setattr(engine_parity, "Classifier", opened)

    return answer_by


@pytest.fixture
def labelled(tmp_path: Path) -> EvaluationData:
    """Twenty pictures of noise, reddish, greenish and bluish."""
    choose, samples = np.random.default_rng(0), []
    for index in range(20):
        pixels = choose.integers(0, 200, (32, 32, 3), np.uint8)
        pixels[..., index % 3] += 50
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
        samples.append(Sample(f"{index}.png", index % 3))
    return EvaluationData(tmp_path, tuple(samples), "val", "")


@pytest.mark.parametrize("write", [write_tiny_model, write_multi_label_model, write_multi_task_model])
def test_the_same_answers_are_let_pass(write: Callable[[Path], Path], tmp_path: Path, other: Other) -> None:
    path = write(tmp_path / "model.onnx")
    other(path)
    (held,) = hold_engines(Contestant("model", path), ["openvino"])
    assert (held.refused, held.images, held.made, held.max_difference, held.agreement) == ("", 0, 5, 0.0, 1.0)
    assert "100.0% of the labels the same" in str(held)


def test_other_answers_are_refused_and_allowed_where_they_cost_no_accuracy(
    tmp_path: Path, other: Other, labelled: EvaluationData
) -> None:
    path = write_tiny_model(tmp_path / "model.onnx")
    other(write_tiny_model(tmp_path / "unsure.onnx", sharpness=4.0))
    contestant = Contestant("model", path)
    (held,) = hold_engines(contestant, ["openvino"], labelled=labelled)
    assert "differ by more than 0.0001" in held.refused and "`max_drop_points`" in held.refused
    assert held.max_difference is not None and held.max_difference > 0.01 and held.images == 20
    assert held.to_json()["refused"] == held.refused
    (unknown,) = hold_engines(contestant, ["openvino"], max_drop_points=1.0)
    assert "no labelled images" in unknown.refused
    (allowed,) = hold_engines(contestant, ["openvino"], labelled=labelled, max_drop_points=0.0)
    assert allowed.refused == "" and allowed.accuracy is not None and allowed.accuracy.n == 20
    assert allowed.accuracy == allowed.onnxruntime_accuracy and "right, by onnxruntime" in str(allowed)


def test_the_pictures_named_are_among_those_that_are_answered(tmp_path: Path, other: Other) -> None:
    """A reddish one is answered further apart than any of the hostile ones."""
    path = write_tiny_model(tmp_path / "model.onnx")
    Image.new("RGB", (32, 32), (90, 30, 0)).save(tmp_path / "red.png")
    other(write_tiny_model(tmp_path / "rounded.onnx", sharpness=7.9))
    (without,) = hold_engines(Contestant("model", path), ["openvino"])
    (held,) = hold_engines(Contestant("model", path), ["openvino"], pictures=[tmp_path / "red.png"])
    assert (without.images, held.images, held.made) == (0, 1, without.made)
    assert held.max_difference is not None and without.max_difference is not None
    assert held.max_difference > 2 * without.max_difference


def test_what_loses_accuracy_is_refused(tmp_path: Path, other: Other, labelled: EvaluationData) -> None:
    path = write_tiny_model(tmp_path / "model.onnx")
    other(write_tiny_model(tmp_path / "wrong.onnx", sharpness=-8.0))
    (held,) = hold_engines(Contestant("model", path), ["openvino"], labelled=labelled, max_drop_points=5.0)
    assert held.refused.startswith("it loses ") and "`max_drop_points` 5" in held.refused


def test_int8_layers_may_be_rounded_otherwise(tmp_path: Path, other: Other) -> None:
    """A file of floats may not: the same difference refuses it."""
    path = write_tiny_model(tmp_path / "model.onnx")
    rounded = write_tiny_model(tmp_path / "rounded.onnx", sharpness=7.9)
    other(rounded)
    assert hold_engines(Contestant("model", path), ["openvino"])[0].refused
    card = replace(Classifier(path).card, precision="int8")
    path.write_bytes(with_metadata(path.read_bytes(), {METADATA_KEY: card.dumps()}, where=path))
    assert "int8" in read_metadata(path)[METADATA_KEY]
    (held,) = hold_engines(Contestant("model", path), ["openvino"])
    assert held.refused == "" and held.max_difference is not None and 1e-4 < held.max_difference < 0.02


@pytest.mark.parametrize(("factor", "refused"), [(1.0, False), (1.000001, False), (0.7, True), (float("nan"), True)])
def test_one_that_takes_other_pictures_for_unlike_training_is_refused(
    tmp_path: Path, other: Other, labelled: EvaluationData, factor: float, refused: bool
) -> None:
    """Known pictures are of a brightness up to 99; the noise here is of 116."""
    contestant = Contestant("model", write_unlike_model(tmp_path / "model.onnx"))
    other(write_unlike_model(tmp_path / "other.onnx", distance_factor=factor))
    (held,) = hold_engines(contestant, ["openvino"], labelled=labelled, max_drop_points=5.0)
    assert held.max_difference == 0.0 and held.unlike_agreement is not None
    assert (held.unlike_agreement < 1) is refused
    assert ("takes other pictures for unlike training" in held.refused) is refused
    assert "unlike training by both" in str(held)


def test_an_engine_that_cannot_run_it_is_refused_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiny_model(tmp_path / "model.onnx")

    def opened(model: Path, *, engine: str = "onnxruntime") -> Classifier:
        if engine == "openvino":
            raise ModelError("openvino cannot run it", "")
        return Classifier(model)

    monkeypatch.setattr(engine_parity, "Classifier", opened)
    one, two = hold_engines(Contestant("model", path), ["openvino", "xnnpack"])
    assert "cannot run it" in one.refused and one.max_difference is None and two.refused == ""
    assert "is refused" in str(one)


def test_what_edge_did_not_make_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not made by edge export"):
        hold_engines(Contestant("foreign", write_foreign(tmp_path / "foreign.onnx")), ["openvino"])


@pytest.mark.parametrize(
    ("openvino", "bfloat16", "xnnpack", "expected"),
    [
        (False, False, False, ()),
        (True, False, False, ("openvino",)),
        (True, True, True, ("openvino", "openvino-bf16", "xnnpack")),
    ],
)
def test_what_is_not_here_is_said(
    monkeypatch: pytest.MonkeyPatch, openvino: bool, bfloat16: bool, xnnpack: bool, expected: Any
) -> None:
    monkeypatch.setattr(engine_parity, "missing_package", lambda _: None if openvino else "openvino")
    monkeypatch.setattr(engine_parity, "has_bfloat16", lambda: bfloat16)
    monkeypatch.setattr(engine_parity, "has_xnnpack", lambda: xnnpack)
    found, missing = engines_here()
    assert found == expected
    said = " ".join(missing)
    assert ("edge-vision[fast]" in said) is not openvino and ("without xnnpack" in said) is not xnnpack


def test_openvino_itself_answers_as_onnxruntime_does(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed (make test-engines)")
    contestant = Contestant("model", write_tiny_model(tmp_path / "model.onnx"))
    (held,) = hold_engines(contestant, ["openvino"])
    assert held.refused == "" and held.max_difference is not None and held.max_difference < 1e-5
    with pytest.raises(UsageError):
        Classifier(contestant.model, engine="openvino", exact=True)
