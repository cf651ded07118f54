"""A small finished run to export, made in seconds: random features, and a head fitted to them in one step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

MakeRun = Callable[..., Path]

LABELS = ("circle", "square", "triangle")


@pytest.fixture(scope="session", autouse=True)
def _quick_exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A network is traced once for all tests: a hundred of them export the same few."""
    if not all(map(find_spec, ("torch", "onnx", "onnxscript"))):
        yield
        return
    from edge_export import exporting
    from edge_export.proof import price
    from onnx_operators import keep_operators
    from written_once import written_once

    keep_operators()
    # The folder of all workers.
    shared = tmp_path_factory.getbasetemp()
    folder = (shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared) / "written"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        for module in (exporting, price):
            patch.setattr(module, "write_onnx", written_once(module.write_onnx, folder))
        yield


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn shapes: 30 training, 12 validation and 12 test pictures."""
    pytest.importorskip("torch")
    from edge_data import draw_shapes

    return draw_shapes(tmp_path_factory.mktemp("data") / "shapes", counts=(30, 12, 12))


@pytest.fixture(scope="session")
def make_run(shapes: Path) -> MakeRun:
    """A function that writes a finished run of a backbone on the shapes below a folder, and gives its path."""
    torch = pytest.importorskip("torch")
    from edge_data import split
    from edge_data.sets.split_file import write_split
    from edge_runtime import ModelCard, Preprocessing, measure, scan, write_json
    from edge_train import Checkpoint, Network, build, find_backbone, preset, save_checkpoint

    def make(folder: Path, backbone: str = "resnet18", *, size: int = 48, seed: int = 0, **card_fields: Any) -> Path:
        found = scan(shapes)
        splits = split(found, seed=0)
        contract = Preprocessing(resize_px=size + 8, height_px=size, width_px=size, interpolation="bilinear")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _, mean, std = preset(find_backbone(backbone))
            network = Network(build(find_backbone(backbone), classes=len(LABELS)), mean, std)
            train, val = (
                (
                    torch.stack([torch.from_numpy(contract(shapes / sample.path)) for sample in samples]),
                    torch.tensor([sample.label for sample in samples]),
                )
                for samples in (splits.train, splits.val)
            )
            fit_head(network, find_backbone(backbone).head, *train)
        card = ModelCard(
            labels=LABELS,
            preprocessing=contract,
            backbone=backbone,
            strategy="scratch",
            temperature=1.25,
            normalization={"mean": list(mean), "std": list(std)},
            data={"name": "shapes", "fingerprint": found.fingerprint, "seed": 0, "limit": None},
            versions={"edge-vision": "0.1.0"},
            created=f"2026-01-01T00:00:0{seed}+00:00",
        )
        with torch.inference_mode():
            probabilities = torch.softmax(network(val[0]) / card.temperature, 1).numpy()
        measured = measure(LABELS, val[1].numpy(), probabilities)
        figures = {"accuracy": measured.accuracy, "n": measured.n, "expected_calibration_error": 0.0}
        from dataclasses import replace

        card = replace(card, metrics={"val": figures, "test": figures}, **card_fields)
        folder.mkdir(parents=True)
        write_split(folder / "split.csv", splits, LABELS)
        write_json(folder / "config.json", {"created": card.created, "data_root": str(shapes), "settings": {}})
        save_checkpoint(folder / "best.pt", Checkpoint(card, network.state_dict(), 1, {}))
        write_json(folder / "summary.json", {"metrics": {"val": measured.to_json()}})
        return folder

    return make


def fit_head(network: Any, head: str, images: Any, labels: Any) -> None:
    """Give batch norm its statistics, and the head the ridge regression of the labels on what enters it."""
    import torch

    entered: list[Any] = []
    layer = network.backbone.get_submodule(head)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            # Random weights alone would give every layer the same spread, which no trained network has.
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.3, 0.3)
            module.momentum = None
    with torch.no_grad():
        network.train()
        network(images)
        network.eval()
        hook = layer.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
        network(images)
        hook.remove()
        features = entered[0].mean((2, 3)) if entered[0].ndim == 4 else entered[0]
        centre = features.mean(0)
        features = features - centre
        wanted = torch.nn.functional.one_hot(labels, 3).float() * 6 - 2
        gram = features @ features.T
        dual = torch.linalg.solve(gram + 0.01 * gram.diagonal().mean() * torch.eye(len(gram)), wanted)
        weight = (features.T @ dual).T
        layer.weight.copy_(weight.reshape(layer.weight.shape))
        layer.bias.copy_(-(weight @ centre))


@pytest.fixture(scope="module")
def original(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run of the test module's own."""
    return make_run(tmp_path_factory.mktemp("original") / "runs" / "small", "squeezenet1_1")


@pytest.fixture(scope="session")
def run_folder(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a ResNet-18 on the shapes; copy it before harming it."""
    return make_run(tmp_path_factory.mktemp("export") / "runs" / "shapes-resnet18-scratch-20260101-000000")
