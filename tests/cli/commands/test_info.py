"""edge info: what a file says of itself, whether it is still what was exported, and any other ONNX file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from drifting_model import write_drifting_model
from edge_cli.commands.info import _lines as info_lines, info
from edge_runtime import METADATA_KEY, ModelCard, ModelError, Preprocessing, quick_load_paths, write_quick_load_note
from edge_runtime.model.onnx_bytes import graph_sha256, with_metadata
from tiny_model import write_multi_label_model, write_multi_task_model, write_tiny_model

CARD = ModelCard(
    labels=("ant", "bee", "crane fly"),
    preprocessing=Preprocessing(resize_px=36, height_px=32, width_px=32, interpolation="bicubic"),
    backbone="tiny",
    strategy="fine-tune",
    precision="int8",
    temperature=1.5,
    metrics={
        "val": {
            "accuracy": 0.875,
            "n": 16,
            "auroc": None,
            "expected_calibration_error": 0.04,
            "per_class": [
                {
                    "label": "bee",
                    "recall": 0.75,
                    "recall_interval_95": [0.5, 0.9],
                    "specificity": None,
                    "specificity_interval_95": None,
                    "auroc": 0.9,
                    "support": 12,
                }
            ],
        }
    },
    parity={
        "images": 16,
        "hostile_images": 5,
        "max_difference": 2.5e-6,
        "top1_agreement": 1.0,
        "batch_sizes": [1, 2, 5],
        "validation": {"n": 16, "accuracy": 0.875, "checkpoint": {"n": 16, "accuracy": 0.8125}},
    },
    data={"name": "insects"},
    versions={"torch": "2.15.0", "edge-vision": "0.1.0"},
    created="2026-01-01T00:00:00+00:00",
    quantization={"calibration": {"method": "entropy", "images": 64}, "drop_points": 0.5},
    members=({"run": "insects-1", "backbone": "tiny", "metrics": {"val": {"accuracy": 0.75, "n": 16}}},),
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with all that a card can hold, as an export leaves it."""
    path = write_tiny_model(tmp_path / "model.onnx", card=CARD)
    card = replace(CARD, graph_sha256=graph_sha256(path))
    path.write_bytes(with_metadata(path.read_bytes(), {METADATA_KEY: card.dumps()}, where=path))
    return path


def test_a_person_sees_what_matters(edge: Any, model: Path) -> None:
    done = edge("info", model)
    assert (done.returncode, done.stderr) == (0, "")
    text = done.stdout
    for said in (
        "3: ant, bee, crane fly",
        "int8, drop points 0.5",
        "upright sRGB, alpha on [255, 255, 255]; short side to 36 px (bicubic), centre crop 32×32",
        "headline       val accuracy 87.5% (n 16)",
        "accuracy 0.875, n 16, auroc –, expected calibration error 0.04",
        "bee: sensitivity 0.750 (0.500 to 0.900), specificity – (–), AUROC 0.900, n 12",
        "images 16, hostile images 5, max difference 2.5e-06",
        "checkpoint n 16, accuracy 0.8125",
        "insects-1: tiny, val accuracy 0.75",
        "torch 2.15.0",
        "IR 10, opset ai.onnx 18",
        graph_sha256(model),
        "2026-01-01",
    ):
        assert said in text, said


def test_a_program_gets_one_document(edge: Any, model: Path) -> None:
    done = edge("info", model, "--json", "--verify")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert found["made_by_edge"] is found["verified"] is True
    assert found["card"] == json.loads(onnx.load(model).metadata_props[0].value)
    assert found["opsets"] == {"ai.onnx": 18} and found["ir_version"] == 10 and found["quick_load"] is None
    assert found["inputs"] == [{"name": "image", "type": "tensor(uint8)", "shape": ["batch", 32, 32, 3]}]


def test_an_optimised_form_is_named_where_it_is_opened_and_only_there(edge: Any, model: Path) -> None:
    quick, _ = quick_load_paths(model)
    shutil.copyfile(model, quick)
    write_quick_load_note(model, onnxruntime.__version__)
    assert json.loads(edge("info", model, "--json").stdout)["quick_load"] == str(quick)
    assert f"{quick} fits this machine and is opened in its place" in edge("info", model).stdout
    quick.write_bytes(b"no model")
    write_quick_load_note(model, onnxruntime.__version__)
    assert json.loads(edge("info", model, "--json").stdout)["quick_load"] is None


def test_a_file_as_exported_is_verified_and_another_card_changes_nothing(edge: Any, model: Path) -> None:
    done = edge("info", model, "--verify")
    assert done.returncode == 0 and "are those that were exported" in done.stdout
    assert "verified" not in edge("info", model).stdout


def test_a_changed_weight_is_found_and_ends_with_1(edge: Any, model: Path) -> None:
    proto = onnx.load(model)
    weights = next(each for each in proto.graph.initializer if each.name == "weights")
    values = numpy_helper.to_array(weights).copy()
    values[0, 0] = np.nextafter(values[0, 0], np.float32(1))
    weights.CopyFrom(numpy_helper.from_array(values, "weights"))
    onnx.save(proto, model)
    done = edge("info", model, "--verify")
    assert done.returncode == 1
    assert "model.onnx is not as it was exported" in done.stderr and "export it again" in done.stderr
    done = edge("info", model, "--verify", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["verified"] is False
    assert edge("info", model).returncode == 0


def test_an_older_file_without_a_hash_cannot_be_verified(edge: Any, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "old.onnx")
    assert edge("info", "old.onnx").returncode == 0
    done = edge("info", "old.onnx", "--verify")
    assert done.returncode == 1 and "holds no hash" in done.stderr


def test_a_foreign_file_is_described_and_named_as_such(edge: Any, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["data"], ["out"])],
        "foreign",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 3, 224, 224])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", 3, 224, 224])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="pytorch")
    onnx.save(model, tmp_path / "foreign.onnx")
    done = edge("info", "foreign.onnx")
    assert done.returncode == 0
    assert "edge export did not make this file" in done.stdout
    assert "data  tensor(float) ['N', 3, 224, 224]" in done.stdout
    assert "IR 8, opset ai.onnx 13, producer pytorch" in done.stdout
    found = json.loads(edge("info", "foreign.onnx", "--json").stdout)
    assert found["made_by_edge"] is False and found["card"] is None
    done = edge("info", "foreign.onnx", "--verify")
    assert done.returncode == 1 and "cannot be verified" in done.stderr


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04 a zip"])
def test_what_is_no_onnx_file_is_one_line(edge: Any, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    for words in ((), ("--verify",), ("--json",)):
        done = edge("info", "x.onnx", *words)
        assert done.returncode == 1 and "x.onnx" in done.stderr and "Traceback" not in done.stderr
        assert done.stdout == ""


def test_int8_weights_are_told_of(edge: Any, tmp_path: Path) -> None:
    old = write_drifting_model(tmp_path / "old.onnx")
    assert "weights of full range, which saturate on x86-64 without VNNI" in edge("info", old).stdout
    found = json.loads(edge("info", old, "--json").stdout)["int8"]
    assert (found["largest_weight"], found["portable"], found["measured_on"]) == (127, False, None)
    new = write_drifting_model(tmp_path / "new.onnx", largest=64, zero=2)
    assert "weights of 7 bits, the same answers on every processor" in edge("info", new).stdout
    assert json.loads(edge("info", write_tiny_model(tmp_path / "float.onnx"), "--json").stdout)["int8"] is None


def described(model: Path, **metrics: Any) -> Path:
    """The file, with those metrics on its card."""
    whole = onnx.load(model)
    card = replace(ModelCard.loads(whole.metadata_props[0].value, where="it"), metrics=metrics)
    whole.metadata_props[0].value = card.dumps()
    onnx.save_model(whole, str(model))
    return model


def test_several_labels_and_several_tasks_say_what_they_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"label": "red", "threshold": 0.5, "precision": 0.75, "recall": None, "average_precision": 0.9, "support": 4}
    labels = described(write_multi_label_model(tmp_path / "l.onnx"), test={"map": 0.5, "n": 8, "per_class": [row, 7]})
    assert info(labels) == 0
    told = capsys.readouterr().out
    assert "kind           multi-label, given red from 50.0%, green from 25.0%, blue from 90.0%" in told
    assert "headline       test mAP 50.0% (n 8)" in told
    assert "red: given from 0.500, precision 0.750 (–), recall – (–), average precision 0.900, n 4" in told
    light = {"n": 0}
    colour = {"accuracy": 0.5, "n": 4, "per_class": [{"label": "red", "recall": 0.25, "support": 2}]}
    figures = {"n": 4, "mean_accuracy": 0.5, "tasks": {"colour": colour, "light": light, "other": "?"}}
    assert info(described(write_multi_task_model(tmp_path / "t.onnx"), val=figures)) == 0
    told = capsys.readouterr().out
    assert "task           colour, 3 labels: red, green, blue; temperature 1.250" in told
    assert "headline       val mean accuracy of the tasks 50.0% (n 4)" in told
    assert "colour: accuracy 0.5, n 4\n" in told and "red: sensitivity 0.250" in told and "light: n 0" in told
    assert "labels         " not in told and "output         probabilities_light" in told


def test_hostile_metrics_of_several_tasks_are_shown_or_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for figures in (
        {"tasks": 3},
        {"tasks": {"a": {"tasks": []}}},
        {"map": "x", "n": 2},
        {"mean_accuracy": [1], "n": {}},
    ):
        assert info(described(write_multi_task_model(tmp_path / "t.onnx"), val=figures)) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_a_strangers_split_commands_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = described(write_tiny_model(tmp_path / "m.onnx"), **{"val\x1b[31m\n": {"accuracy": 0.5, "n": 3}})
    assert info(model) == 0
    assert "\x1b" not in (told := capsys.readouterr().out) and "  val\\x1b[31m\\n  accuracy 0.5, n 3\n" in told


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a JSON document."""
    if at:
        yield at
    keys = value if isinstance(value, dict) else range(min(len(value), 2)) if isinstance(value, list) else ()
    for key in keys:
        yield from places(value[key], (*at, key))


def test_whatever_stands_in_a_card_is_shown_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    point = {"positive": "bee", "threshold": 0.5, "min_sensitivity": 0.9, "n": 16, "positives": 8}
    found = {"sensitivity": 0.9, "sensitivity_interval_95": [0.5, 1.0], "found": 7, "missed": 1}
    figures = {"accuracy": 0.75, "n": 16, "accuracy_interval_95": [0.5, 0.9], "at_threshold": found}
    two = CARD.to_json() | {
        "labels": ["ant", "bee"],
        "operating_point": point,
        "metrics": {"val": {**CARD.metrics["val"], "at_threshold": found}, "cross-validated": figures},
        "parity": {**CARD.parity, "training": {"n": 4}, "drawn": {"n": 60}},
        "unlike": {"method": "nearest-centre", "n": 2, "centres": 1, "training_images": 4, "distances": [0.1, 0.2]},
        "tta": {"name": "flip", "views": 2, "latency_ratio": 1.9},
        "architecture": {"stem": "small"},
    }
    three = json.loads(onnx.load(write_multi_task_model(tmp_path / "t.onnx")).metadata_props[0].value)
    three["metrics"] = {"val": {"n": 4, "mean_accuracy": 0.5, "tasks": {"colour": figures, "light": {"n": 0}}}}
    many = json.loads(onnx.load(write_multi_label_model(tmp_path / "l.onnx")).metadata_props[0].value)
    many["metrics"] = {"test": {"map": 0.5, "n": 8, "per_class": [{"label": "red", "threshold": 0.5, "support": 4}]}}
    shown, refused = 0, []
    for card in (two, three, many):
        assert info_lines(ModelCard.loads(json.dumps(card), where="it"))
        for at in places(card):
            for odd in (None, True, -1, 1e308, 10**400, -(10**400), "\ud800", [], [None], ["a"], {}, {"a": {"b": [1]}}):
                mutated = json.loads(json.dumps(card))
                inner = mutated
                for key in at[:-1]:
                    inner = inner[key]
                inner[at[-1]] = odd
                try:
                    told = info_lines(ModelCard.loads(json.dumps(mutated), where="it"))
                except ModelError:
                    refused.append((at, odd))
                else:
                    shown += bool(told)
    assert shown > 1000 and (("metrics", "val", "n"), 10**400) in refused
    assert capsys.readouterr() == ("", "")


def test_one_file_is_shown_and_another_beside_it_refused(edge: Any, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "a.onnx")
    write_tiny_model(tmp_path / "b.onnx")
    assert edge("info", "a.onnx", "--model", "a.onnx").returncode == 0
    for words in (("a.onnx", "--model", "b.onnx"), ("--model", "b.onnx", "--run", "one")):
        done = edge("info", *words, "--verify")
        assert (done.returncode, done.stdout) == (2, "") and "more than one is given" in done.stderr
