"""The small stem and the hidden layer: built as asked, and rebuilt from the checkpoint alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edge_data import draw_shapes  # noqa: E402
from edge_runtime import CheckpointError, UsageError  # noqa: E402
from edge_train import BACKBONES, Checkpoint, build, find_backbone, load_checkpoint, train  # noqa: E402
from edge_train.network.network import DropoutLinear  # noqa: E402
from quick_training import Ear, network, quick_settings  # noqa: E402


@pytest.fixture(scope="module")
def tiny_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_shapes(tmp_path_factory.mktemp("tiny") / "shapes", counts=(12, 6, 3), size_px=40)


def test_the_small_stem_keeps_the_resolution() -> None:
    made = build(find_backbone("resnet18"), classes=4, stem="small")
    conv = made.conv1
    assert isinstance(conv, nn.Conv2d)
    assert (conv.kernel_size, conv.stride, conv.padding, conv.bias) == ((3, 3), (1, 1), (1, 1), None)
    assert not any(isinstance(module, nn.MaxPool2d) for module in made.modules())
    sizes = []
    made.layer1.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape[1:])))
    assert made.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 4)
    assert sizes == [(64, 32, 32)]


@pytest.mark.parametrize("name", [name for name in BACKBONES if not name.startswith("resnet")])
def test_other_backbones_have_no_small_stem(name: str) -> None:
    device = torch.device("meta" if name != "regnet_y_400mf" else "cpu")
    with device, pytest.raises(UsageError, match=f"`stem` small is for ResNets, not for {name}") as caught:
        build(find_backbone(name), classes=3, stem="small")
    assert caught.value.exit_code == 2


def test_a_run_with_the_small_stem_takes_images_at_their_own_size(tiny_pictures: Path, tmp_path: Path) -> None:
    ear = Ear()
    given = {"backbone": "resnet18", "stem": "small", "image_size": None, "strategy": "auto", "epochs": 1}
    result = train(quick_settings(tiny_pictures, tmp_path, **given), ear)
    assert "input 40×40 px (the images' own, as `stem` small takes them): the whole picture" in ear.lines
    assert result.summary["strategy"] == "scratch"
    checkpoint = load_checkpoint(result.run.best)
    assert dict(checkpoint.card.architecture) == {"stem": "small"}
    rebuilt = checkpoint.build()
    assert tuple(rebuilt.backbone.conv1.weight.shape) == (64, 3, 3, 3)
    assert rebuilt(torch.zeros(2, 40, 40, 3, dtype=torch.uint8)).shape == (2, 3)
    preprocessing = checkpoint.card.preprocessing
    assert (preprocessing.resize_px, preprocessing.height_px, preprocessing.width_px) == (40, 40, 40)


@pytest.mark.parametrize(
    ("name", "dropout", "expected"), [("resnet18", None, 0.2), ("mobilenet_v2", 0.4, 0.4), ("vgg16", 0.0, 0.0)]
)
def test_hidden_units_make_a_head_of_two_layers(name: str, dropout: float | None, expected: float) -> None:
    with torch.device("meta"):
        made = build(find_backbone(name), classes=5, hidden_units=17, dropout=dropout)
    first, relu, drop, last = made.get_submodule(find_backbone(name).head)
    assert isinstance(first, nn.Linear) and isinstance(relu, nn.ReLU) and isinstance(drop, nn.Dropout)
    assert (first.out_features, last.in_features, last.out_features, drop.p) == (17, 17, 5, expected)
    assert not any(isinstance(module, DropoutLinear) for module in made.modules())


def test_a_convolution_as_head_takes_no_hidden_units() -> None:
    with pytest.raises(UsageError, match="`hidden_units`: the head of squeezenet1_1 is a convolution"):
        build(find_backbone("squeezenet1_1"), classes=3, hidden_units=8)


def test_a_run_with_hidden_units_is_rebuilt_and_answers_alike(few_shapes: Path, tmp_path: Path) -> None:
    result = train(quick_settings(few_shapes, tmp_path, hidden_units=8, dropout=0.5, epochs=1))
    checkpoint = load_checkpoint(result.run.best)
    assert dict(checkpoint.card.architecture) == {"hidden_units": 8}
    images = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    by_hand = network("shufflenet_v2_x0_5", hidden_units=8)
    by_hand.load_state_dict(dict(checkpoint.network))
    with torch.no_grad():
        assert torch.equal(checkpoint.build()(images), by_hand.eval()(images))


@pytest.mark.parametrize("architecture", [{"stem": "huge"}, {"hidden_units": "many"}, {"hidden_units": 9}])
def test_an_architecture_that_does_not_fit_is_an_error(
    few_shapes: Path, tmp_path: Path, architecture: dict[str, Any]
) -> None:
    found = load_checkpoint(train(quick_settings(few_shapes, tmp_path, hidden_units=8, epochs=1)).run.best)
    wrong = Checkpoint(replace(found.card, architecture=architecture), found.network, found.epoch, found.training)
    with pytest.raises(CheckpointError, match="do not fit shufflenet_v2_x0_5"):
        wrong.build()
