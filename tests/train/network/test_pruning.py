"""Channels taken from a network: which are left, and that what is left is built again from its tensors alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edge_runtime import ModelCard, Preprocessing, UsageError
from edge_train import Checkpoint, find_backbone, load_checkpoint, save_checkpoint
from edge_train.network.attention_sites import with_attention
from edge_train.network.building import build
from edge_train.network.network import Network
from edge_train.network.pruning import narrowed, prune_channels
from quick_training import network

pytest.importorskip("torch_pruning")

SIZE_PX = 64


def _convolutions(net: nn.Module) -> dict[str, nn.Conv2d]:
    return {name: module for name, module in net.named_modules() if isinstance(module, nn.Conv2d)}


def _parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("channels", "share", "left"),
    [(64, 0.3, 48), (512, 0.3, 360), (16, 0.3, 16), (24, 0.3, 16), (64, 0.9, 8), (6, 0.5, 6), (1280, 0.5, 640)],
)
def test_widths_are_multiples_of_eight(channels: int, share: float, left: int) -> None:
    assert narrowed(channels, share) == left


BLOCK = {
    "resnet18": ("backbone.layer2.1.conv1", "backbone.layer2.1.conv2"),
    "mobilenet_v2": ("backbone.features.3.conv.0.0", "backbone.features.3.conv.2"),
    "mobilenet_v3_small": ("backbone.features.5.block.0.0", "backbone.features.5.block.3.0"),
}


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "mobilenet_v3_small"])
def test_a_pruned_network_is_smaller_and_comes_back_from_its_checkpoint(name: str, tmp_path: Path) -> None:
    backbone, whole = find_backbone(name), network(name)
    before = {key: tensor.clone() for key, tensor in whole.state_dict().items()}
    pruned = prune_channels(whole, backbone, 0.5, SIZE_PX)

    assert _parameters(pruned) < 0.6 * _parameters(whole)
    assert all(torch.equal(tensor, before[key]) for key, tensor in whole.state_dict().items())
    old, new = _convolutions(whole), _convolutions(pruned)
    for path, conv in new.items():
        assert conv.out_channels in {narrowed(old[path].out_channels, 0.5), old[path].out_channels}, path
        assert (conv.groups == conv.in_channels) == (old[path].groups == old[path].in_channels), path

    # The layer within a block becomes narrow; those whose outputs are added to each other stay.
    inner, joined = BLOCK[name]
    assert new[inner].out_channels == narrowed(old[inner].out_channels, 0.5)
    assert new[joined].out_channels == old[joined].out_channels

    card = ModelCard(
        labels=("a", "b", "c"),
        preprocessing=Preprocessing(resize_px=SIZE_PX, height_px=SIZE_PX, width_px=SIZE_PX, interpolation="bilinear"),
        backbone=name,
        strategy="fine-tune",
        normalization={"mean": [0.5] * 3, "std": [0.2] * 3},
        data={},
        versions={},
        created="",
        architecture={"pruned": 0.5},
    )
    save_checkpoint(tmp_path / "best.pt", Checkpoint(card, pruned.state_dict(), 1, {}))
    again = load_checkpoint(tmp_path / "best.pt").build()
    images = torch.randint(0, 256, (2, SIZE_PX, SIZE_PX, 3), dtype=torch.uint8)
    with torch.no_grad():
        answers = again(images)
        torch.testing.assert_close(answers, pruned.eval()(images))
    assert answers.shape == (2, 3)


def test_the_channels_that_weigh_least_are_taken() -> None:
    whole = network("resnet18")
    weak = torch.arange(0, 64, 2)
    conv, norm = whole.backbone.get_submodule("layer1.0.conv1"), whole.backbone.get_submodule("layer1.0.bn1")
    reader = whole.backbone.get_submodule("layer1.0.conv2")
    with torch.no_grad():
        for tensor in (conv.weight, norm.weight):
            tensor[weak] *= 0.01  # type: ignore[index,operator]
        reader.weight[:, weak] *= 0.01  # type: ignore[index,operator]
    pruned = prune_channels(whole, find_backbone("resnet18"), 0.5, SIZE_PX)
    kept = pruned.backbone.get_submodule("layer1.0.bn1").weight
    assert isinstance(kept, torch.Tensor) and len(kept) == 32
    assert kept.abs().min() > 0.5


def test_those_that_the_loss_depends_on_least_are_taken_where_gradients_say_so() -> None:
    whole = network("resnet18")
    gradients = {name: torch.ones_like(parameter) for name, parameter in whole.named_parameters()}
    # The heaviest channels of all, on which nothing depends.
    heavy = torch.arange(0, 64, 2)
    norm = whole.backbone.get_submodule("layer1.0.bn1")
    with torch.no_grad():
        norm.weight[heavy] *= 100  # type: ignore[index,operator]
    for name in ("layer1.0.conv1.weight", "layer1.0.bn1.weight"):
        gradients[f"backbone.{name}"][heavy] = 0
    gradients["backbone.layer1.0.conv2.weight"][:, heavy] = 0
    pruned = prune_channels(whole, find_backbone("resnet18"), 0.5, SIZE_PX, gradients)
    kept = pruned.backbone.get_submodule("layer1.0.bn1").weight
    assert isinstance(kept, torch.Tensor) and len(kept) == 32
    assert kept.abs().max() < 50
    assert all(parameter.grad is None for parameter in (*pruned.parameters(), *whole.parameters()))


def test_attention_is_pruned_with_what_it_weighs() -> None:
    backbone = with_attention(find_backbone("mobilenet_v2"), "se")
    whole = Network(build(backbone, classes=3), (0.5,) * 3, (0.2,) * 3)
    assert _parameters(prune_channels(whole, backbone, 0.5, SIZE_PX)) < 0.5 * _parameters(whole)


def test_what_cannot_lose_channels_is_refused() -> None:
    with pytest.raises(UsageError, match="channels cannot be taken from shufflenet_v2_x0_5"):
        prune_channels(network("shufflenet_v2_x0_5"), find_backbone("shufflenet_v2_x0_5"), 0.3, SIZE_PX)
    with pytest.raises(UsageError, match=r"`prune` of 0\.001 takes no channel"):
        prune_channels(network("resnet18"), find_backbone("resnet18"), 0.001, SIZE_PX)
