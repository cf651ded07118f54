"""Networks of timm: what is read from them, and what is refused. Their exports are in tests/export."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("timm")

import timm
import torch
from torch import nn

from edge_runtime import Preprocessing, UsageError, WeightsError
from edge_train import Network
from edge_train.explain.grad_cam import last_map
from edge_train.network.building import build, preprocessing, preset
from edge_train.network.fold_batch_norm import fold, fold_frozen
from edge_train.network.lookup import find_backbone
from edge_train.network.weights import load_pretrained
from edge_train.strategy.plan import Plan, set_mode


@pytest.mark.parametrize(
    ("name", "head", "stages", "features"),
    [
        ("test_vit", "head", ["stem", *(f"blocks.{n}" for n in range(6))], None),
        ("convnext_atto", "head.fc", ["stem", *(f"stages.{n}" for n in range(4))], "norm_pre"),
        ("tf_efficientnet_lite0", "classifier", ["stem", *(f"blocks.{n}" for n in range(7))], "bn2"),
        ("mobilenetv4_conv_small", "classifier", ["stem", *(f"blocks.{n}" for n in range(5))], "blocks"),
        ("regnety_002", "head.fc", ["stem", "s1", "s2", "s3", "s4"], "final_conv"),
        ("resnetrs50", "fc", ["stem", "layer1", "layer2", "layer3", "layer4"], "layer4"),
        # A class token, and a query that pools, expanded for each picture.
        ("cait_xxs24_224", "head", ["stem", *(f"blocks.{n}" for n in range(24))], None),
        ("vit_base_patch16_siglip_224", "head", ["stem", *(f"blocks.{n}" for n in range(12))], None),
    ],
)
def test_head_stages_and_last_feature_map_are_found(
    name: str, head: str, stages: list[str], features: str | None
) -> None:
    backbone = find_backbone(f"timm:{name}")
    assert backbone.head == head and [stage.name for stage in backbone.stages] == stages
    assert backbone.features == features
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=1000)
    for parameter, _ in model.named_parameters():
        holders = [stage.name for stage in backbone.stages if stage.holds(parameter)]
        assert holders == ([] if parameter.startswith(f"{head}.") else [backbone.stage_of(parameter)]), parameter
    assert backbone.parameters == sum(parameter.numel() for parameter in model.parameters())
    if features is None:
        with pytest.raises(UsageError, match=f"{name} has no convolutional feature map"):
            last_map(model, backbone)


def test_the_cost_of_a_network_is_that_of_torchvisions_twin() -> None:
    ours, theirs = find_backbone("resnet18"), find_backbone("timm:resnet18")
    assert theirs.gflops == pytest.approx(ours.gflops, rel=1e-3) and theirs.parameters == ours.parameters
    assert theirs.file_name == "timm-resnet18"


def test_a_head_of_few_classes_begins_as_small_as_one_of_many() -> None:
    head = build(find_backbone("timm:test_efficientnet"), classes=2).get_submodule("classifier")
    assert float(head.get_parameter("weight").detach().abs().max()) <= 1 / 256**0.5


def test_the_preset_is_timms_own_evaluation() -> None:
    for name in ("test_vit", "resnet18", "mobilenetv4_conv_small.e2400_r224_in1k"):
        contract, mean, std = preset(find_backbone(f"timm:{name}"))
        config = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
        theirs = {type(step).__name__: step for step in timm.data.create_transform(**config).transforms}
        assert contract.resize_px == theirs["Resize"].size
        assert (contract.height_px, contract.width_px) == tuple(theirs["CenterCrop"].size)
        assert contract.interpolation == theirs["Resize"].interpolation.value
        assert mean == pytest.approx(theirs["Normalize"].mean.tolist())
        assert std == pytest.approx(theirs["Normalize"].std.tolist())


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("resnet19", "has no network 'resnet19'", "did you mean resnet18"),
        ("resnet18.nobody", "timm has no weights 'nobody' of resnet18", "resnet18.a1_in1k"),
        ("deit_tiny_distilled_patch16_224", "has 2 heads", ""),
    ],
)
def test_what_timm_has_not_is_refused_in_one_line(name: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        find_backbone(f"timm:{name}")
    assert hint in caught.value.hint and "\n" not in str(caught.value)


def test_a_size_that_the_layers_cannot_take_is_refused_and_a_fixed_one_is_made_for_it() -> None:
    vit = find_backbone("timm:test_vit")
    assert preprocessing(vit, 64) == Preprocessing(67, 64, 64, "bicubic")
    model = build(vit, classes=3, size_px=64)
    assert model.get_parameter("pos_embed").shape == (1, 17, 64)
    assert model.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
    # Less than one patch.
    with pytest.raises(UsageError, match=r"timm:test_vit cannot take 8×8 pixels") as caught:
        preprocessing(vit, 8)
    assert "`image_size` 160" in caught.value.hint


def test_weights_for_another_size_have_their_positions_interpolated(tmp_path: Path) -> None:
    vit = find_backbone("timm:test_vit")
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "vit.pth")
    origin = load_pretrained(build(vit, classes=3, size_px=64), vit, tmp_path / "vit.pth", size_px=64)
    assert origin.endswith("; position embedding interpolated from 10×10 to 4×4 patches")
    assert "interpolated" not in load_pretrained(build(vit, classes=3), vit, tmp_path / "vit.pth")


def test_torchvisions_weights_answer_alike_in_timms_twins(
    mobilenet_weights: Path, resnet_weights: Path, tmp_path: Path
) -> None:
    pictures = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    twins = (("mobilenet_v2", "timm:mobilenetv2_100", mobilenet_weights), ("resnet18", "timm:resnet18", resnet_weights))
    for ours, theirs, path in twins:
        one, two = find_backbone(ours), find_backbone(theirs)
        state = torch.load(path, weights_only=True)
        own = build(two, classes=3).state_dict()
        # The same tensors in the same order, under other names.
        torch.save(dict(zip(own, state.values(), strict=True)), tmp_path / "renamed.pth")
        answers = []
        for backbone, file in ((one, path), (two, tmp_path / "renamed.pth")):
            model = build(backbone, classes=3)
            load_pretrained(model, backbone, file)
            model.set_submodule(backbone.head, nn.Identity())
            with torch.no_grad():
                answers.append(Network(model, (0.5,) * 3, (0.2,) * 3).eval()(pictures))
        assert torch.equal(*answers)


def test_default_weights_are_timms_own_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants
    from safetensors.torch import save_file

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    backbone = find_backbone("timm:test_resnet.r160_in1k")
    model = build(backbone, classes=3)
    with pytest.raises(WeightsError, match=r"timm's weights of test_resnet\.r160_in1k cannot be had") as caught:
        load_pretrained(model, backbone, "default")
    assert "`weights` FILE" in caught.value.hint and "\n" not in str(caught.value)
    # As the hub's client keeps what it has downloaded.
    trained = timm.create_model("test_resnet")
    folder = tmp_path / "models--timm--test_resnet.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    save_file(trained.state_dict(), folder / "snapshots" / ("0" * 40) / "model.safetensors")
    assert load_pretrained(model, backbone, "default").startswith("timm test_resnet.r160_in1k")
    assert torch.equal(model.get_parameter("conv1.0.weight"), trained.get_parameter("conv1.0.weight"))
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_byobnet", "test_nfnet"])
def test_folded_batch_norm_answers_alike_with_timms_own_layers(name: str) -> None:
    """Theirs has an activation inside, their convolutions may pad or standardise their weights."""
    torch.manual_seed(0)
    backbone = find_backbone(f"timm:{name}")
    network = Network(build(backbone, classes=3), (0.5,) * 3, (0.2,) * 3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    network.eval()
    pictures = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        wanted = network(pictures)
        assert torch.allclose(fold(network)(pictures), wanted, atol=1e-4 * float(wanted.abs().max()))
        assert torch.allclose(fold_frozen(network)(pictures), wanted, atol=1e-4 * float(wanted.abs().max()))
    if name != "test_nfnet":
        assert sum(isinstance(m, nn.BatchNorm2d) for m in fold(network).modules()) < sum(
            isinstance(m, nn.BatchNorm2d) for m in network.modules()
        )


def test_without_timm_its_extra_is_named() -> None:
    program = """
import sys
sys.modules["timm"] = None  # as if not installed
from edge_runtime import MissingExtraError
from edge_train.network.lookup import find_backbone
try:
    find_backbone("timm:resnet18")
except MissingExtraError as error:
    print(error)
find_backbone("resnet18")
assert not any(name.startswith("huggingface") for name in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'edge-vision[timm]'" in done.stdout


def test_batch_norm_with_its_activation_inside_stays_frozen() -> None:
    backbone = find_backbone("timm:efficientnet_lite0")
    made = Network(build(backbone, classes=2), (0.5,) * 3, (0.2,) * 3)
    set_mode(made, Plan(backbone, "fine-tune", batch_norm="frozen"))
    norms = [module for module in made.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and not any(module.training for module in norms)


def test_a_dinov2_is_made_for_the_size_of_the_run(tmp_path: Path) -> None:
    found = find_backbone("timm:vit_small_patch14_dinov2")
    assert (found.head, found.image_size_px, found.features) == ("head", 518, None)
    # As its authors' weights are: made for 518 px, without a head.
    with torch.device("meta"):
        given = timm.create_model("vit_small_patch14_dinov2", num_classes=0).state_dict()
    torch.save({name: torch.zeros(tensor.shape) for name, tensor in given.items()}, tmp_path / "dino.pth")
    made = build(found, classes=2, size_px=56)
    origin = load_pretrained(made, found, tmp_path / "dino.pth", size_px=56)
    assert origin.endswith("interpolated from 37×37 to 4×4 patches")
    assert made.eval()(torch.zeros(1, 3, 56, 56)).shape == (1, 2)
