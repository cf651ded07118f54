from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision import models
from torchvision.transforms.v2.functional import normalize

from edge_train.network.backbones import BACKBONES, Backbone
from edge_train.network.building import build, preset
from edge_train.network.network import DeployedNetwork, Network

ALL = pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)


def pixels(images: int, size_px: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (images, size_px, size_px, 3), dtype=torch.uint8, generator=generator)


def network(backbone: Backbone, classes: int = 5) -> Network:
    torch.manual_seed(0)
    _, mean, std = preset(backbone)
    return Network(build(backbone, classes=classes), mean, std).eval()


@ALL
def test_the_backbone_gets_what_torchvisions_transforms_give_it_and_its_logits_come_out(
    backbone: Backbone,
) -> None:
    made, images, seen = network(backbone), pixels(3), list[Tensor]()
    made.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    transforms = models.get_model_weights(backbone.name).DEFAULT.transforms()
    with torch.no_grad():
        logits = made(images)
        assert torch.equal(logits, made.backbone(seen[0]))
    scaled = images.permute(0, 3, 1, 2).float() / 255
    assert torch.allclose(seen[0], normalize(scaled, transforms.mean, transforms.std), rtol=0, atol=1e-6)
    assert logits.shape == (3, 5)
    assert logits.dtype == torch.float32


def test_logits_equal_torchvisions_own_path_to_five_digits() -> None:
    made, images = network(BACKBONES["mobilenet_v3_small"]), pixels(3, size_px=96)
    transforms = models.MobileNet_V3_Small_Weights.DEFAULT.transforms(crop_size=96, resize_size=96)
    with torch.no_grad():
        expected = made.backbone(transforms(images.permute(0, 3, 1, 2)))
        assert torch.allclose(made(images), expected, rtol=1e-5, atol=1e-5)


def test_what_is_deployed_is_the_calibrated_softmax_of_the_logits() -> None:
    made = network(BACKBONES["resnet18"])
    with torch.no_grad():
        logits = made(pixels(4))
        probabilities = DeployedNetwork(made, temperature=2.5)(pixels(4))
    assert probabilities.dtype == torch.float32
    assert torch.allclose(probabilities, torch.softmax(logits / 2.5, dim=1), atol=1e-6)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(4), atol=1e-6)


def test_building_what_is_deployed_leaves_training_mode() -> None:
    made = network(BACKBONES["mobilenet_v3_small"]).train()
    deployed = DeployedNetwork(made)
    assert not any(module.training for module in deployed.modules())


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_would_spoil_the_probabilities_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        DeployedNetwork(network(BACKBONES["squeezenet1_1"]), temperature)


def test_images_that_are_not_uint8_are_refused_by_type() -> None:
    with pytest.raises(TypeError, match=r"uint8 \[N, H, W, 3\], not torch\.float32"):
        network(BACKBONES["squeezenet1_1"])(torch.rand(1, 64, 64, 3))


def test_the_state_dict_restores_the_normalisation_too() -> None:
    made = network(BACKBONES["shufflenet_v2_x0_5"])
    other = Network(build(BACKBONES["shufflenet_v2_x0_5"], classes=5), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)).eval()
    other.load_state_dict(made.state_dict())
    with torch.no_grad():
        assert torch.equal(other(pixels(2)), made(pixels(2)))


def test_gradients_reach_the_first_layer() -> None:
    made = network(BACKBONES["resnet18"]).train()
    made(pixels(2)).sum().backward()
    gradient = made.get_parameter("backbone.conv1.weight").grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_convolutions_see_channels_last_in_training_and_plain_layout_in_an_export() -> None:
    made = network(BACKBONES["resnet18"])
    seen: list[bool] = []
    hook = made.backbone.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    with torch.no_grad():
        made(pixels(2))
    hook.remove()
    assert seen == [True]
    batch = torch.export.Dim("batch")
    program = torch.export.export(DeployedNetwork(made), (pixels(2),), dynamic_shapes=({0: batch},))
    operations = {str(node.target) for node in program.run_decompositions().graph.nodes}
    assert not any("as_strided" in operation for operation in operations)
