from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from bench_command import Bench
from edge_benchmarks import Contestant, build_fresh, build_int8, choose_backbones, choose_precisions, tell_apart
from edge_runtime import Classifier, UsageError
from edge_train import BACKBONES

OWN = """
from torch import nn
def make(classes):
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(nn.Conv2d(3, WIDTH, 3, stride=4), nn.ReLU(), *pooled, nn.Linear(WIDTH, classes))
"""


def test_all_are_all_and_none_is_none() -> None:
    assert [backbone.name for backbone in choose_backbones("all")] == list(BACKBONES)
    assert choose_backbones("none") == ()


@given(st.lists(st.sampled_from(list(BACKBONES)), min_size=1))
def test_names_come_once_each_in_the_order_given(names: list[str]) -> None:
    found = choose_backbones(" , ".join(names))
    assert [backbone.name for backbone in found] == list(dict.fromkeys(names))


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        choose_backbones("resnet18,mobilnet_v2")
    assert "mobilnet_v2" in caught.value.message
    assert "did you mean mobilenet_v2" in caught.value.hint


@pytest.mark.parametrize("choice", ["", " ", ",", " , ,"])
def test_no_name_at_all_is_refused(choice: str) -> None:
    with pytest.raises(UsageError, match="names none"):
        choose_backbones(choice)


def test_precisions_by_name() -> None:
    assert choose_precisions("int8, FP32") == ("fp32", "int8")
    assert choose_precisions("int8") == ("int8",)
    for wrong in ("", "int4", "fp32,half"):
        with pytest.raises(UsageError, match="`precision`"):
            choose_precisions(wrong)


def test_a_fresh_backbone_runs_at_its_own_size_with_random_weights(fresh: Contestant) -> None:
    card = fresh.card
    assert card is not None
    assert (card.backbone, len(card.labels), fresh.file.input_px, fresh.precision) == (
        "squeezenet1_1",
        1000,
        "224",
        "fp32",
    )
    assert fresh.fresh and fresh.passing and fresh.checkpoint is not None and fresh.checkpoint.is_file()
    published = BACKBONES["squeezenet1_1"]
    assert fresh.file.parameters == pytest.approx(published.parameters, rel=0.02)
    assert fresh.file.multiply_adds == pytest.approx(published.gflops * 1e9, rel=0.05)
    assert fresh.known_accuracy is not None and fresh.known_accuracy.source == "published"


def test_its_int8_file_is_a_quarter_as_large_and_says_so(fresh: Contestant, tmp_path: Path) -> None:
    int8 = build_int8(fresh, tmp_path)
    assert int8.precision == "int8" and fresh.precision == "fp32"
    assert Classifier(int8.model).card.precision == "int8"
    assert int8.file.size_bytes < 0.4 * fresh.file.size_bytes
    assert int8.file.parameters == pytest.approx(fresh.file.parameters, rel=0.02)
    # Published accuracy is that of the float network; that of random weights means nothing.
    assert int8.known_accuracy is None


def test_two_files_of_one_name_are_two_networks(tmp_path: Path, edge_bench: Bench) -> None:
    pytest.importorskip("onnxscript")
    for folder, width in (("a", 8), ("b", 16), ("c/b", 24)):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "net.py").write_text(OWN.replace("WIDTH", str(width)))
    (tmp_path / "a" / "other.py").write_text(OWN.replace("WIDTH", "8"))
    done = edge_bench(
        *("--backbones", "a/net.py:make,b/net.py:make,c/b/net.py:make,a/other.py:make", "--precision", "fp32"),
        *("--random-input", "--duration", "20ms", "--runs", "5", "--cold-starts", "1", "--threads", "1", "--json"),
        *("--keep-models", "kept"),
    )
    assert done.returncode == 0, done.stderr
    rows = {row["model"]: row for row in json.loads(done.stdout)["results"]}
    named = ["a/net.py:make", f"{tmp_path}/b/net.py:make", f"{tmp_path}/c/b/net.py:make", "other.py:make"]
    assert sorted(rows) == sorted(named)
    sizes = {name: rows[name]["parameters"] for name in named}
    assert sizes[named[0]] < sizes[named[1]] < sizes[named[2]] and sizes[named[3]] == sizes[named[0]]
    assert len(list((tmp_path / "kept").iterdir())) == 4 and len({row["sha256"] for row in rows.values()}) >= 3
    # What tells two of one name and one size apart is their code.
    assert len({tuple(row["variant"]) for row in rows.values()}) == 3
    (other,) = choose_backbones("resnet18")
    assert tell_apart([other]) == ["resnet18"]


def test_its_hard_sigmoids_are_those_of_a_trained_network(tmp_path: Path) -> None:
    """Most are clips of integers in int8: where activations had shrunk to nothing, none was, and it was slow."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("torchvision")
    (backbone,) = choose_backbones("mobilenet_v3_small")
    file = build_int8(build_fresh(backbone, tmp_path, size_px=96), tmp_path)
    ops = [node.op_type for node in onnx.load_model(str(file.model)).graph.node]
    assert ops.count("Clip") > ops.count("HardSigmoid")
