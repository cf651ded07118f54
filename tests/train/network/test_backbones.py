from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torchvision import models

from edge_runtime import UsageError
from edge_train.network.backbones import BACKBONES, Backbone
from edge_train.network.building import build, preprocessing, preset
from edge_train.network.lookup import find_backbone

ALL = pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def on_meta(backbone: Backbone, classes: int = 3, dropout: float | None = None) -> nn.Module:
    """Names and shapes without the memory; RegNet cannot work out its widths that way."""
    with torch.device("cpu" if backbone.name.startswith("regnet") else "meta"):
        return build(backbone, classes=classes, dropout=dropout)


def test_the_promised_thirteen_are_there() -> None:
    assert list(BACKBONES) == [
        "resnet18",
        "resnet50",
        "mobilenet_v2",
        "efficientnet_b0",
        "vgg16",
        "densenet121",
        "mobilenet_v3_small",
        "mobilenet_v3_large",
        "shufflenet_v2_x0_5",
        "shufflenet_v2_x1_0",
        "squeezenet1_1",
        "regnet_y_400mf",
        "convnext_tiny",
    ]
    assert all(backbone.advice for backbone in BACKBONES.values())


@ALL
def test_what_the_table_says_is_what_torchvision_publishes(backbone: Backbone) -> None:
    weights = models.get_model_weights(backbone.name).DEFAULT
    assert backbone.parameters == weights.meta["num_params"]
    assert backbone.gflops == pytest.approx(weights.meta["_ops"])
    assert backbone.imagenet_top1 == pytest.approx(weights.meta["_metrics"]["ImageNet-1K"]["acc@1"])
    assert [backbone.image_size_px] == weights.transforms().crop_size


@ALL
def test_stages_and_head_hold_every_parameter_exactly_once_from_input_to_head(backbone: Backbone) -> None:
    names = list(on_meta(backbone).state_dict())
    for name in names:
        holders = [stage.name for stage in backbone.stages if stage.holds(name)]
        assert holders == ([] if name.startswith(f"{backbone.head}.") else [backbone.stage_of(name)]), name
    in_order = list(dict.fromkeys(backbone.stage_of(name) for name in names))
    assert in_order == [*(stage.name for stage in backbone.stages), "head"]
    assert 4 <= len(backbone.stages) <= 6


def test_a_stage_does_not_hold_the_modules_whose_number_begins_like_its_own() -> None:
    mobilenet = BACKBONES["mobilenet_v2"]
    assert mobilenet.stage_of("features.1.conv.0.0.weight") == "stem"
    assert mobilenet.stage_of("features.10.conv.0.0.weight") == "stage4"
    with pytest.raises(KeyError, match=r"mobilenet_v2 has no parameter 'fc\.weight'"):
        mobilenet.stage_of("fc.weight")


@ALL
def test_the_head_alone_depends_on_the_number_of_classes(backbone: Backbone) -> None:
    ours, published = on_meta(backbone, classes=7).state_dict(), on_meta(backbone, classes=1000).state_dict()
    assert ours.keys() == published.keys()
    differing = {key for key in ours if ours[key].shape != published[key].shape}
    assert differing == {f"{backbone.head}.weight", f"{backbone.head}.bias"}
    assert all(ours[key].shape[0] == 7 for key in differing)


@ALL
def test_the_smallest_size_is_one_the_layers_digest(backbone: Backbone) -> None:
    model = build(backbone, classes=3).eval()
    with torch.no_grad():
        logits = model(torch.rand(1, 3, backbone.smallest_px, backbone.smallest_px))
    assert logits.shape == (1, 3)
    # Sixteen is a floor of taste; everything above it is a limit of the architecture.
    if backbone.smallest_px > 16:
        with pytest.raises(RuntimeError), torch.no_grad():
            model(torch.rand(1, 3, backbone.smallest_px - 1, backbone.smallest_px - 1))


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("resnet18", "resnet18"),
        ("ResNet-18", "resnet18"),
        (" resnet 50 ", "resnet50"),
        ("MobileNetV2", "mobilenet_v2"),
        ("mobilenetv2", "mobilenet_v2"),
        ("EfficientNet-B0", "efficientnet_b0"),
        ("VGG-16", "vgg16"),
        ("ShuffleNet V2 x0.5", "shufflenet_v2_x0_5"),
        ("SqueezeNet 1.1", "squeezenet1_1"),
        ("MobileNetV3-Small", "mobilenet_v3_small"),
    ],
)
def test_a_backbone_is_found_as_people_spell_it(spelled: str, name: str) -> None:
    assert find_backbone(spelled).name == name


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("resnet19", "did you mean resnet18"),
        ("mobilnet_v2", "did you mean mobilenet_v2"),
        ("mobilenet_v3", "did you mean mobilenet_v3_small or mobilenet_v3_large"),
        ("convnext", "did you mean convnext_tiny"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest_and_the_list(wrong: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_backbone(wrong)
    assert repr(wrong) in caught.value.message
    assert meant in caught.value.hint
    assert all(name in caught.value.hint for name in BACKBONES)


@pytest.mark.parametrize("nonsense", ["", "---", "gpt"])
def test_nonsense_is_answered_with_the_list_alone(nonsense: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_backbone(nonsense)
    assert caught.value.hint.startswith("choose from resnet18, ")


@pytest.mark.parametrize("classes", [-1, 0, 1])
def test_fewer_than_two_classes_are_refused(classes: int) -> None:
    with pytest.raises(UsageError, match=f"not {classes}"):
        build(BACKBONES["resnet18"], classes=classes)


@ALL
def test_dropout_is_set_in_front_of_every_head_and_no_name_changes(backbone: Backbone) -> None:
    model = on_meta(backbone, dropout=0.5)
    assert model.state_dict().keys() == on_meta(backbone).state_dict().keys()
    own = [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
    assert own == [0.5] * len(own)
    assert own or "dropout=0.5" in repr(model.get_submodule(backbone.head))


def test_dropout_drops_in_training_and_not_in_evaluation() -> None:
    torch.manual_seed(0)
    model = build(BACKBONES["shufflenet_v2_x0_5"], classes=3, dropout=0.5)
    head, ones = model.get_submodule("fc"), torch.ones(1, 1024)
    assert not torch.equal(head(ones), head(ones))
    model.eval()
    assert torch.equal(head(ones), ones @ model.get_parameter("fc.weight").T + model.get_parameter("fc.bias"))


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_a_dropout_that_is_no_probability_is_refused(dropout: float) -> None:
    with pytest.raises(UsageError, match="dropout"):
        build(BACKBONES["resnet18"], classes=2, dropout=dropout)


def test_squeezenets_head_is_a_convolution_initialised_as_torchvisions() -> None:
    torch.manual_seed(0)
    head = build(BACKBONES["squeezenet1_1"], classes=10).get_submodule("classifier.1")
    assert isinstance(head, nn.Conv2d)
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.1)


@ALL
def test_the_preset_is_the_weights_own(backbone: Backbone) -> None:
    contract, mean, std = preset(backbone)
    transforms = models.get_model_weights(backbone.name).DEFAULT.transforms()
    assert [contract.resize_px] == transforms.resize_size
    assert [contract.height_px] == [contract.width_px] == transforms.crop_size
    assert contract.interpolation == ("bicubic" if backbone.name == "efficientnet_b0" else "bilinear")
    assert (mean, std) == (MEAN, STD)


@pytest.mark.parametrize(
    ("name", "size_px", "margin", "resize_px"),
    [
        ("resnet18", None, True, 256),
        ("resnet50", None, True, 232),
        ("resnet18", None, False, 224),
        ("resnet18", 128, True, 146),
        ("resnet50", 112, True, 116),
        ("convnext_tiny", 64, True, 67),
        ("efficientnet_b0", 64, False, 64),
    ],
)
def test_a_size_asked_for_keeps_the_presets_margin(
    name: str, size_px: int | None, margin: bool, resize_px: int
) -> None:
    contract = preprocessing(BACKBONES[name], size_px, margin=margin)
    assert contract.resize_px == resize_px
    assert contract.height_px == contract.width_px == (size_px or 224)
    assert contract.interpolation == preset(BACKBONES[name])[0].interpolation


@ALL
def test_a_size_below_the_smallest_is_refused_with_the_smallest(backbone: Backbone) -> None:
    preprocessing(backbone, backbone.smallest_px)
    with pytest.raises(UsageError) as caught:
        preprocessing(backbone, backbone.smallest_px - 1)
    assert backbone.name in caught.value.message
    assert str(backbone.smallest_px) in caught.value.hint


def test_a_size_that_no_memory_holds_is_refused() -> None:
    with pytest.raises(UsageError, match="100000 pixels are too many"):
        preprocessing(BACKBONES["resnet18"], 100_000)


def test_the_table_needs_no_torch_and_building_says_which_extra_it_needs() -> None:
    program = """
import sys
sys.modules["torch"] = sys.modules["torchvision"] = None  # as if not installed
from edge_runtime import MissingExtraError
from edge_train.network.lookup import find_backbone
from edge_train.network.building import build
try:
    build(find_backbone("ResNet-18"), classes=2)
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "edge-vision[train]" in done.stdout
