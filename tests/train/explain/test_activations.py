"""The maps of a layer are what it gives, whatever comes after it; its filters are its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edge_runtime import CheckpointError, UsageError  # noqa: E402
from edge_train import Network, build, find_backbone  # noqa: E402
from edge_train.explain.activations import LayerActivations, layers_in, look_at_layer  # noqa: E402
from edge_train.explain.maps_picture import draw_maps  # noqa: E402
from own_nets import write_nets  # noqa: E402
from quick_training import network  # noqa: E402

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def resnet() -> Network:
    return network("resnet18").eval()


def look(network: Network, layer: str) -> LayerActivations:
    return look_at_layer(network, "resnet18", PIXELS, layer)


def test_a_layer_gives_what_it_gives_before_the_next_one_changes_it(resnet: Network) -> None:
    with torch.no_grad():
        scaled = (torch.from_numpy(PIXELS).permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.2
        conv = resnet.backbone.conv1(scaled)
        norm = resnet.backbone.bn1(conv)
    found = look(resnet, "bn1")
    assert found.maps.shape == (64, 32, 24) and found.filters is None
    # The ReLU behind it works in place.
    assert found.maps.min() < 0
    np.testing.assert_allclose(found.maps, norm[0].numpy(), atol=1e-4)
    strengths = np.abs(found.maps).mean(axis=(1, 2))[list(found.by_strength)]
    assert sorted(found.by_strength) == list(range(64)) and (np.diff(strengths) <= 0).all()


def test_filters_on_the_picture_are_in_colour_and_others_grey(resnet: Network) -> None:
    first, block = (look(resnet, layer) for layer in ("conv1", "layer2"))
    weight = resnet.state_dict()["backbone.conv1.weight"].numpy()
    assert first.filters_of == "conv1" and first.filters is not None and block.filters is not None
    np.testing.assert_array_equal(first.filters, weight.transpose(0, 2, 3, 1))
    assert block.filters_of == "layer2.0.conv1" and block.filters.shape == (128, 3, 3)
    grey = resnet.state_dict()["backbone.layer2.0.conv1.weight"].numpy()
    strongest = int(np.abs(grey[5]).sum(axis=(1, 2)).argmax())
    np.testing.assert_array_equal(block.filters[5], grey[5, strongest])
    coloured, plain = (np.asarray(draw_maps(PIXELS, found, "x").image) for found in (first, block))
    corner = (slice(2 * 345, -2 * 90), slice(24, 2 * 260))
    assert np.ptp(coloured[corner].astype(int), axis=-1).max() > 30
    assert np.ptp(plain[corner].astype(int), axis=-1).max() < 30


def test_the_layers_are_named_as_torch_names_them(resnet: Network) -> None:
    layers = {layer.name: layer for layer in layers_in(resnet, 64, 48)}
    assert layers["layer3.1"].kind == "BasicBlock" and layers["layer3.1"].shape == (256, 4, 3)
    assert {name for name in layers if not layers[name].has_maps} == {"avgpool", "fc"}
    assert set(layers) < {name for name, _ in resnet.backbone.named_modules()}


@pytest.mark.parametrize(
    ("layer", "message", "hint"),
    [
        ("layer4.1.reluu", "resnet18 has no layer 'layer4.1.reluu'", "did you mean layer4.1.relu? there are conv1, "),
        ("", "resnet18 has no layer ''", "there are conv1, bn1, relu, maxpool, layer1, layer1.0"),
        ("fc", r"fc of resnet18 gives a vector \(3\)", "choose another, such as layer3.0, layer3.1, layer4"),
        ("avgpool", r"avgpool of resnet18 gives a vector \(512×1×1\)", "choose another"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_what_can(resnet: Network, layer: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        look(resnet, layer)
    assert refused.value.hint.startswith(hint) and "\n" not in str(refused.value)


def test_weights_that_are_no_numbers_are_said() -> None:
    broken = Network(nn.Sequential(nn.Conv2d(3, 8, 3)), (0.5,) * 3, (0.2,) * 3)
    nn.init.constant_(broken.backbone[0].weight, float("nan"))
    with pytest.raises(CheckpointError, match="0 gives what is no number"):
        look(broken, "0")


def test_a_transformer_has_maps_in_front_of_its_vectors() -> None:
    pytest.importorskip("timm")
    made = Network(build(find_backbone("timm:test_vit"), classes=2), (0.5,) * 3, (0.5,) * 3).eval()
    layers = {layer.name: layer for layer in layers_in(made, 160, 160)}
    assert layers["patch_embed.proj"].has_maps and not layers["blocks.0"].has_maps


def test_a_network_of_ones_own_is_looked_into(tmp_path: Path) -> None:
    made = Network(build(find_backbone(f"{write_nets(tmp_path)}:wrapped"), classes=2), (0.5,) * 3, (0.5,) * 3).eval()
    found = look(made, "backbone.2")
    assert found.maps.shape == (8, 15, 11) and found.filters_of == "backbone.2"
    assert found.filters is not None and found.filters.shape == (8, 3, 3)
    with pytest.raises(UsageError, match="pool of resnet18 gives a vector") as refused:
        look(made, "pool")
    assert refused.value.hint == "choose another, such as backbone, backbone.0, backbone.1, backbone.2"


def test_any_number_of_maps_of_any_size_is_drawn() -> None:
    for shape in ((1, 1, 2), (70, 3, 9), (9, 40, 2)):
        maps = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        sheet = draw_maps(PIXELS, LayerActivations("x", maps), "x", "y")
        assert np.asarray(sheet.image).std() > 1
    silent = draw_maps(PIXELS, LayerActivations("x", np.zeros((3, 4, 4), np.float32)), "x")
    assert np.asarray(silent.image).std() > 1
