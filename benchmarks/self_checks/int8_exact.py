"""int8 kernels against the graph they run, computed exactly: every backbone's int8 file, over drawn pictures.

    python benchmarks/self_checks/int8_exact.py [--backbones all] [--images 64] [--size 96] [--check]

Each file is answered twice on this machine: by onnxruntime's int8 kernels, and node by node in floats. Weights are
random, batch norm's statistics are those of the pictures and the head is fitted to them, as no random network tells
them apart. An exported file and its own images: edge evaluate --exact. With --check it ends with 1 where a file's
answers are more than 0.02 apart, or fewer than 99 % of the first labels agree. As without VNNI, where there is VNNI:
`as_processor.py avx2 python …`; as on Arm: `qemu-aarch64 … python …`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edge_benchmarks import Table, choose_backbones
from edge_data import draw_shapes
from edge_export import Quantizer, write_onnx
from edge_runtime import Classifier, Drift, ModelCard, Preprocessing, int8_arithmetic, int8_origin, scan
from edge_train import Backbone, DeployedNetwork, Network, build, preset
from shared import at_least_1, check, flags, say

COLUMNS = ("file", "n", "max |Δp|", "mean |Δp|", "agreement", "accuracy", "exact", "largest weight")
CALIBRATION_IMAGES = 16
BATCH = 16


def main() -> int:
    """Compare and print; 1 where something failed or, with --check, a file's two answers are apart."""
    parser = flags("int8 kernels against exact arithmetic", "threads")
    parser.add_argument("--backbones", default="all", help="names with commas between (default: %(default)s)")
    parser.add_argument("--images", type=at_least_1, default=64, help="pictures to answer (default: %(default)s)")
    parser.add_argument("--size", type=at_least_1, default=96, help="side of the input (default: %(default)s)")
    given = parser.parse_args()

    def measure(folder: Path) -> bool:
        say(f"{int8_arithmetic()}, as the system says; under QEMU the kernels are those of its -cpu")
        contract = Preprocessing(given.size, given.size, given.size, "bilinear")
        pixels, labels = pictures(folder, contract, given.images)
        rows, apart = [], []
        for backbone in choose_backbones(given.backbones):
            for mixed in (False, True):
                path = make_int8(backbone, folder, contract, pixels, labels, mixed=mixed, threads=given.threads)
                drift = compare(path, pixels, labels, threads=given.threads)
                rows.append(_row(path, drift))
                apart += [] if drift.holds else [f"apart: {path.stem}: {drift}"]
        say(Table(COLUMNS, tuple(rows), left=1).text())
        say("\n".join(apart) or "every file answers as its graph does")
        return not apart

    return check(given, measure)


def pictures(folder: Path, contract: Preprocessing, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Drawn shapes, uint8 `[count, side, side, 3]`, and their labels."""
    root = draw_shapes(folder / "shapes", counts=(count, 3, 3), size_px=contract.width_px)
    samples = scan(root).splits["train"]
    return np.stack([contract(root / sample.path) for sample in samples]), np.array([each.label for each in samples])


def make_int8(
    backbone: Backbone,
    folder: Path,
    contract: Preprocessing,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    mixed: bool,
    threads: int,
) -> Path:
    """The backbone as an int8 file in `folder`, calibrated on some of the pictures."""
    source = folder / f"{backbone.name}.onnx"
    if not source.exists():
        card = ModelCard(tuple(map(str, range(labels.max() + 1))), contract, backbone.name, "scratch")
        write_onnx(DeployedNetwork(_network(backbone, pixels, labels)), card, source)
    target = folder / f"{backbone.name}-int8{'-mixed' * mixed}.onnx"
    with Quantizer(source, [pixels[:CALIBRATION_IMAGES]], threads=threads) as quantizer:
        quantizer.write(target, mixed=mixed)
    return target


def _network(backbone: Backbone, pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> Network:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        _, mean, std = preset(backbone)
        network = Network(build(backbone, classes=int(labels.max()) + 1), mean, std)
        for module in network.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.3)
                module.momentum = None
            elif hasattr(module, "p"):
                module.p = 0.0
        images = torch.from_numpy(pixels)
        network.train()
        for at in range(0, len(images), BATCH):
            network(images[at : at + BATCH])
        network.eval()
        _fit(network, backbone.head, images, torch.from_numpy(labels))
    return network


def _fit(network: Network, head: str, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Give the head the ridge regression of the labels on what enters it."""
    entered: list[torch.Tensor] = []
    layer = network.backbone.get_submodule(head)
    hook = layer.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0].detach()))
    for at in range(0, len(images), BATCH):
        network(images[at : at + BATCH])
    hook.remove()
    features = torch.cat(entered)
    features = features.mean((2, 3)) if features.ndim == 4 else features
    centre = features.mean(0)
    gram = (features - centre) @ (features - centre).T
    wanted = torch.nn.functional.one_hot(labels).float() * 4 - 1
    dual = torch.linalg.solve(gram + 0.1 * gram.diagonal().mean() * torch.eye(len(gram)), wanted)
    weight = ((features - centre).T @ dual).T
    layer.weight.copy_(weight.reshape(layer.weight.shape))
    # SqueezeNet has a ReLU behind its head: what is not above 0 is lost.
    layer.bias.copy_(2 - weight @ centre)


def compare(path: Path, pixels: NDArray[np.uint8], labels: NDArray[np.int64], *, threads: int) -> Drift:
    """The file's answers by int8 kernels and in exact arithmetic."""
    answers = []
    for exact in (False, True):
        classifier = Classifier(path, threads=threads, exact=exact)
        batches = (pixels[at : at + BATCH] for at in range(0, len(pixels), BATCH))
        answers.append(np.concatenate([classifier.probabilities(batch) for batch in batches]))
    return Drift.between(labels, *answers)


def _row(path: Path, drift: Drift) -> tuple[str, ...]:
    origin = int8_origin(path)
    shares = (drift.top1_agreement, drift.accuracy, drift.exact_accuracy)
    return (
        path.stem,
        str(drift.n),
        f"{drift.max_difference:.2g}",
        f"{drift.mean_difference:.2g}",
        *(f"{share:.1%}" for share in shares),
        "–" if origin is None else str(origin.largest_weight),
    )


if __name__ == "__main__":
    sys.exit(main())
