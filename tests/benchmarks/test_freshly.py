from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_benchmarks import QUICK_FEW, build_fresh, choose_backbones
from edge_runtime import UsageError
from edge_train import BACKBONES


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


def test_the_quick_few_are_known() -> None:
    assert all(name in BACKBONES for name in QUICK_FEW)


def test_a_fresh_backbone_runs_at_its_own_size_with_random_weights(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for package in ("torchvision", "onnx", "onnxscript"):
        pytest.importorskip(package)
    torch.manual_seed(7)
    expected = torch.rand(3).tolist()
    torch.manual_seed(7)
    contestant = build_fresh(choose_backbones("shufflenet_v2_x0_5")[0], tmp_path, threads=1)
    assert torch.rand(3).tolist() == expected, "the caller's random numbers were disturbed"
    card = contestant.classifier.card
    assert (card.backbone, len(card.labels), contestant.input_px) == ("shufflenet_v2_x0_5", 1000, "224")
    assert contestant.fresh
    # 1.4 million parameters of four bytes.
    assert 5e6 < contestant.size_bytes < 7e6
