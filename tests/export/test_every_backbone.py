"""Every backbone, in both formats, answers as its checkpoint does, embedding included."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import numpy as np
import onnx
import torch
from PIL import Image

from edge_export.formats.onnx_file import write_onnx
from edge_export.formats.torchscript_file import write_torchscript
from edge_export.networks.with_embedding import EmbeddingNetwork
from edge_export.proof.answers import onnx_model, torch_model, torchscript_model
from edge_export.proof.parity import check_parity, expect
from edge_export.proof.sample_images import Picture, hostile_pictures, read_pictures
from edge_runtime import Classifier, ModelCard, Preprocessing
from edge_train import BACKBONES, Backbone, DeployedNetwork, Network, build, find_backbone, preset

# What enters each head, by the architectures' papers.
EMBEDDING_SIZES = {
    "resnet18": 512,
    "resnet50": 2048,
    "mobilenet_v2": 1280,
    "efficientnet_b0": 1280,
    "vgg16": 4096,
    "densenet121": 1024,
    "mobilenet_v3_small": 1024,
    "mobilenet_v3_large": 1280,
    "shufflenet_v2_x0_5": 1024,
    "shufflenet_v2_x1_0": 1024,
    "squeezenet1_1": 512,
    "regnet_y_400mf": 440,
    "convnext_tiny": 768,
}
# One of each family, the smallest that timm has of it.
TIMM_EMBEDDING_SIZES = {
    "timm:test_vit": 64,
    "timm:test_convnext": 64,
    "timm:tf_efficientnet_lite0": 1280,
    "timm:mobilenetv4_conv_small_035": 1280,
    "timm:regnetx_002": 368,
    "timm:test_resnet": 96,
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Layers this small gain nothing from a second one, which on a busy machine mostly waits for the first."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def deployed(backbone: Backbone, contract: Preprocessing) -> DeployedNetwork:
    """Random weights, with batch norm's statistics taken on some pictures and a head that tells pictures apart.

    With statistics of 0 and 1 activations vanish in the depth of a network, and any two files agree.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        _, mean, std = preset(backbone)
        network = Network(build(backbone, classes=3, size_px=contract.height_px), mean, std)
        for module in network.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = None
                module.weight.uniform_(0.8, 1.2)
                module.bias.uniform_(-0.1, 0.1)
            elif hasattr(module, "p"):
                # Neither dropout nor stochastic depth while the statistics are taken.
                module.p = 0.0
        # What lies far from the statistics explodes in random layers, as it does not in trained ones.
        some = torch.from_numpy(read_pictures(contract, pictures(contract))[1])
        network.train()
        network(some)
        network.eval()
        head = network.backbone.get_submodule(backbone.head)
        # SqueezeNet has a ReLU behind its head: what is not above 0 is lost.
        head.bias += 2
        head.weight *= 2 / float(network(some).std(0).max())
    return DeployedNetwork(network, temperature=1.5)


def blobs(count: int) -> list[Image.Image]:
    """Pictures of large blobs of colour, each of its own brightness: as different from each other as photos are."""
    rng = np.random.default_rng(0)
    made = []
    for index in range(count):
        grid = rng.integers(0, 256, (5, 5, 3)) * (0.3 + 0.7 * index / count)
        made.append(Image.fromarray(grid.astype(np.uint8)).resize((90, 70), Image.Resampling.BICUBIC))
    return made


def pictures(contract: Preprocessing) -> list[Picture]:
    return [*(Picture(f"picture {n}", image) for n, image in enumerate(blobs(8))), *hostile_pictures(contract)]


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_both_formats_of_a_backbone_equal_the_network(name: str, tmp_path: Path) -> None:
    require_equal_formats(BACKBONES[name], EMBEDDING_SIZES[name], 64, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM_EMBEDDING_SIZES)
def test_both_formats_of_a_network_of_timm_equal_it(name: str, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    require_equal_formats(find_backbone(name), TIMM_EMBEDDING_SIZES[name], 64, tmp_path)


def require_equal_formats(backbone: Backbone, embedding_size: int, side: int, tmp_path: Path) -> None:
    contract = Preprocessing(resize_px=side + 4, height_px=side, width_px=side, interpolation="bilinear")
    network = EmbeddingNetwork(deployed(backbone, contract), backbone.head)
    card = ModelCard(
        labels=("a", "b", "c"),
        preprocessing=contract,
        backbone=backbone.name,
        strategy="scratch",
        embedding_size=network.size(side, side),
    )
    assert card.embedding_size == embedding_size
    expected = expect(torch_model(network, card), pictures(contract))
    assert expected.answers.probabilities.std(axis=0).max() > 0.01, "the network must tell pictures apart"

    write_onnx(network, card, tmp_path / "model.onnx")
    found = check_parity(expected, onnx_model(tmp_path / "model.onnx"), what="model.onnx", temperature=1.5)
    assert found.top1_agreement == 1 and found.embedding_difference is not None
    written = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    assert written.ir_version <= 10
    assert {entry.domain for entry in written.opset_import} == {""} and written.opset_import[0].version <= 20
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"], "one file, whatever its size"
    assert Classifier(tmp_path / "model.onnx").embedding_size == embedding_size

    write_torchscript(network, card, tmp_path / "model.pt")
    check_parity(expected, torchscript_model(tmp_path / "model.pt"), what="model.pt", temperature=1.5)
