"""Names of tensors as training scripts write them, back to those of the network."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edge_runtime import WeightsError
from edge_train.network.state_names import find_state, named_as

FILE = Path("x.pth")


def net() -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 2, 1), norm=nn.BatchNorm2d(2))),
            layer=nn.Conv2d(2, 2, 1),
            fc=nn.Linear(2, 3),
        )
    )


def state(before: str = "", fill: float = 1.0) -> dict[str, Tensor]:
    return {f"{before}{key}": torch.full_like(t, fill) for key, t in net().state_dict().items()}


@pytest.mark.parametrize("before", ["", "module.", "model.", "net.", "a.very.deep.one.", "model._orig_mod.module."])
def test_any_prefix_is_found_and_what_lies_beside_is_kept_apart(before: str) -> None:
    beside = {"criterion.weight": torch.ones(3)} if before else {}
    tensors = find_state({"state_dict": {**state(before), **beside}}, FILE).tensors
    named = named_as(net(), tensors, FILE)
    assert named.tensors.keys() == {key for key in state() if not key.endswith("num_batches_tracked")}
    assert (named.prefix, named.numbered) == (before, False)
    assert (named.beside or {}).keys() == beside.keys()


def test_parts_called_by_number_get_their_names_back() -> None:
    tensors = {
        key.replace("stem.", "body.0.").replace("layer.", "body.1."): t
        for key, t in state().items()
        if not key.startswith("fc.")
    }
    named = named_as(net(), {**tensors, "out.weight": torch.ones(3, 2)}, FILE)
    assert {"stem.conv.weight", "stem.norm.running_mean", "layer.bias"} <= named.tensors.keys()
    assert (named.prefix, named.numbered) == ("body.", True)
    assert (named.beside or {}).keys() == {"out.weight"}
    assert named.how == "prefix body., parts by number"


def test_two_networks_in_one_file_must_be_told_apart() -> None:
    both = {**state("student.", 1.0), **state("teacher.", 2.0)}
    with pytest.raises(WeightsError, match=r"the network twice: as student\. and as teacher\.") as caught:
        named_as(net(), both, FILE)
    assert "`prefix`" in caught.value.hint
    assert float(named_as(net(), both, FILE, prefix="teacher.").tensors["fc.bias"][0]) == 2
    # One's own, without any, is what is meant.
    assert named_as(net(), {**state(), **state("ema.", 2.0)}, FILE).prefix == ""


@pytest.mark.parametrize("kept", ["state_dict_ema", "model_ema"])
def test_a_moving_average_is_taken_unless_the_weights_are_asked_for(kept: str) -> None:
    loaded = {"state_dict": state(fill=1.0), kept: state("module.", 2.0)}
    found = find_state(loaded, FILE)
    assert (found.averaged, found.wrapper, float(found.tensors["module.fc.bias"][0])) == (True, kept, 2.0)
    plain = find_state(loaded, FILE, average=False)
    assert (plain.averaged, plain.wrapper, float(plain.tensors["fc.bias"][0])) == (False, "state_dict", 1.0)


def test_settings_are_no_state_dict_and_an_unknown_key_is_named() -> None:
    settings = {"name": "resnet18", "classes": 2, "scale": torch.tensor(1.0)}
    found = find_state({"model": settings, "state_dict": state()}, FILE)
    assert (found.wrapper, found.how, "fc.bias" in found.tensors) == ("state_dict", "", True)
    optimizer = {"state": {0: {"momentum": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}
    beside = {"class_weights": torch.ones(3), "loss": {"margin": torch.ones(1)}}
    found = find_state(
        {**beside, "net": state("module."), "acc": torch.tensor(1.0), "optimizer": optimizer, "epoch": 3}, FILE
    )
    assert (found.wrapper, found.how, "module.fc.bias" in found.tensors) == ("net", "under the key net", True)
    assert find_state({"last": {"model": state()}}, FILE).wrapper == "model"
    with pytest.raises(WeightsError, match="several state dicts: student, teacher"):
        find_state({"student": state(), "teacher": state(), "epoch": 3}, FILE)
    endless: dict[str, object] = {}
    endless["model"] = endless
    with pytest.raises(WeightsError, match="no state dict"):
        find_state(endless, FILE)


def test_a_prefix_without_its_dot_is_taken_with_it() -> None:
    both = {**state("student.", 1.0), **state("teacher.", 2.0)}
    named = named_as(net(), both, FILE, prefix="teacher")
    assert (named.prefix, float(named.tensors["fc.bias"][0])) == ("teacher.", 2)
