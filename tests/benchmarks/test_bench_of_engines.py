"""edge bench --engines: what is timed, what is refused, and what is kept of it."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

import edge_benchmarks
from bench_command import Bench
from edge_benchmarks import Report, bench
from edge_benchmarks.models import engine_parity
from edge_runtime import Classifier, find_engine_choice
from fake_worker import use_fake_workers
from tiny_model import write_multi_label_model, write_tiny_model

FAST = ("--duration", "50ms", "--runs", "20", "--threads", "2", "--cold-starts", "1")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that OpenVINO answers alike, twice as fast, and in bfloat16 otherwise, as files and workers act it."""
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    path, unsure = write_tiny_model(tmp_path / "model.onnx"), write_tiny_model(tmp_path / "unsure.onnx", sharpness=4.0)

    def opened(model: Path, *, engine: str = "onnxruntime") -> Classifier:
        return Classifier(unsure if engine == "openvino-bf16" else model)

    monkeypatch.setattr(engine_parity, "Classifier", opened)
    monkeypatch.setattr(engine_parity, "missing_package", lambda _: None)
    monkeypatch.setattr(engine_parity, "has_bfloat16", lambda: True)
    monkeypatch.setattr(engine_parity, "has_xnnpack", lambda: False)
    use_fake_workers(monkeypatch, speeds={"openvino": 2.0, "openvino-bf16": 4.0})
    return path


def test_what_answers_alike_is_timed_and_the_rest_is_refused(edge_bench: Bench, model: Path) -> None:
    done = edge_bench("model.onnx", "--engines", *FAST)
    assert done.returncode == 0, done.stderr
    assert "model.onnx by openvino: max |Δp| 0" in done.stderr
    assert "by openvino-bf16 is refused: its answers differ by more than 0.0001; --max-drop" in done.stderr
    assert "without xnnpack" in done.stderr
    assert "× as fast as" in done.stdout and "2.00" in done.stdout and "bf16" not in done.stdout
    assert find_engine_choice(model, 2) is None


def test_the_fastest_is_kept_and_said_in_json(edge_bench: Bench, model: Path) -> None:
    done = edge_bench("model.onnx", "--engines", "--choose", "--json", *FAST)
    said = json.loads(done.stdout)["engines"]
    assert [(each["engine"], bool(each["refused"])) for each in said["held"]] == [
        ("openvino", False),
        ("openvino-bf16", True),
    ]
    (chosen,) = said["chosen"]
    choice = find_engine_choice(model, 2)
    assert choice is not None and (choice.engine, choice.speedup) == ("openvino", pytest.approx(2.0))
    assert chosen["engine"] == "openvino" and Path(chosen["note"]).is_file()
    assert "2.00 times as fast as onnxruntime" in done.stderr


@pytest.mark.usefixtures("model")
def test_a_model_of_several_labels_is_weighed_by_the_data_named(
    edge_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, weaker = write_multi_label_model(tmp_path / "several.onnx"), tmp_path / "weaker.onnx"
    proto = onnx.load(path)
    for constant in proto.graph.initializer:
        if constant.name in ("weights", "bias"):
            constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant) * np.float32(0.9), constant.name))
    onnx.save(proto, weaker)

    def opened(_: Path, *, engine: str = "onnxruntime") -> Classifier:
        return Classifier(path if engine == "onnxruntime" else weaker)

    monkeypatch.setattr(engine_parity, "Classifier", opened)
    Image.new("RGB", (32, 32), "yellow").save(tmp_path / "1.png")
    (tmp_path / "list.csv").write_text("path,label\n1.png,red|green\n")
    done = edge_bench(path.name, "--engines", "--data", "list.csv", "--max-drop", "1", *FAST)
    assert done.returncode == 0, done.stderr
    assert "right, by onnxruntime" in done.stderr and "refused" not in done.stderr


def test_an_engine_is_not_recommended_for_its_accuracy_having_been_asked(
    edge_bench: Bench, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "runs" / "shapes-tiny-scratch-20260101-000000"
    run.mkdir(parents=True)
    model.rename(run / "model.onnx")
    (run / "config.json").write_text(
        json.dumps({"created": "2026-01-01T00:00:00.000000+00:00", "data_root": str(tmp_path / "photos")})
    )
    rows = []
    for split, (label, colour) in product(("train", "val"), {"a": "red", "b": "lime", "c": "blue"}.items()):
        (tmp_path / "photos" / split / label).mkdir(parents=True)
        Image.new("RGB", (32, 32), colour).save(tmp_path / "photos" / split / label / "1.png")
        rows.append(f"{split},{label},{split}/{label}/1.png")
    (run / "split.csv").write_text("\n".join(["split,label,path", *rows]) + "\n")
    # The one that answers otherwise is slower, and no more accurate.
    use_fake_workers(monkeypatch, speeds={"openvino": 2.0, "openvino-bf16": 0.5})
    done = edge_bench("--engines", "--max-drop", "5", "--recommend", "--json", *FAST)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    accuracies = {row["engine"]: row["accuracy"] for row in said["results"]}
    assert set(accuracies) == {"onnxruntime", "openvino", "openvino-bf16"}
    assert {each["source"] for each in accuracies.values()} == {"measured"}
    assert len({each["images"] for each in accuracies.values()}) == 1 and accuracies["openvino"]["images"]
    assert {each["n"] for each in accuracies.values()} == {3}
    assert said["recommendation"]["take"]["engine"] == "openvino"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--choose",), "go with --engines"),
        (("--max-drop", "1"), "go with --engines"),
        (("--engines", "--against", "openvino"), "exclude each other"),
        (("--engines", "--max-drop", "101"), "--max-drop 101"),
        (("--engines", "--from", "bench.json"), "--from shows a report"),
        (("--engines", "--compare", "a.json", "b.json"), "--compare takes two reports"),
        (("--train", "--engines"), "--train measures training"),
    ],
)
def test_options_that_do_not_go_together(edge_bench: Bench, model: Path, words: tuple[str, ...], said: str) -> None:
    done = edge_bench(
        *(() if "--from" in words or "--compare" in words or "--train" in words else (model.name,)), *words
    )
    assert done.returncode == 2 and said in done.stderr
    assert not done.stdout


def test_a_choice_that_cannot_be_kept_is_an_error_in_one_line_and_no_figure_is_lost(
    edge_bench: Bench, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "file"))
    done = edge_bench(model.name, "--engines", "--choose", "--json", "--out", "bench", *FAST)
    assert done.returncode == 1 and "cannot write" in done.stderr and "EDGE_CACHE" in done.stderr
    assert json.loads(done.stdout)["engines"]["chosen"] == [] and len(json.loads(done.stdout)["results"]) == 2
    assert (tmp_path / "bench" / "bench.json").is_file()


@pytest.mark.parametrize(("meanwhile", "said"), [("gone", "No such file"), ("exported", "it is another file")])
def test_a_file_that_is_not_the_measured_one_any_more_gets_no_choice(
    edge_bench: Bench, model: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str, said: str
) -> None:
    def measured(*given: Any, **more: Any) -> Report:
        report = bench(*given, **more)
        model.unlink() if meanwhile == "gone" else write_tiny_model(model, sharpness=3.0)
        return report

    monkeypatch.setattr(edge_benchmarks, "bench", measured, raising=False)
    done = edge_bench(model.name, "--engines", "--choose", *FAST)
    assert done.returncode == 1 and said in done.stderr and "no engine is noted" in done.stderr
    assert "× as fast as" in done.stdout
    assert not model.exists() or find_engine_choice(model, 2) is None
