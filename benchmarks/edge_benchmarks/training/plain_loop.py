"""Transfer learning as a course writes it: the loop of PyTorch's tutorial, which `edge train` is measured against.

The tutorial is "Transfer Learning for Computer Vision" (pytorch.org/tutorials); its loop is kept step by step, with a
course's optimiser and rates. Network and pretrained weights come from edge, so that both start from the same;
everything after is plain PyTorch: float32, the default memory format, all of torch's threads.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_benchmarks.program import exit_code
from edge_train import find_backbone

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edge_train import Backbone

WORKERS = 2
HEAD_RATE, LAST_STAGE_RATE, BODY_RATE = 1e-3, 1e-4, 1e-5
PHASES = ("train", "val")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainSettings:
    """One run of the loop; `data` has train/ and val/ with class folders, `threads` None is torch's own choice."""

    data: str
    backbone: str
    weights: str
    strategy: str
    epochs: int
    batch_size: int
    image_size: int
    seed: int
    threads: int | None = None


def main(arguments: Sequence[str]) -> int:
    """Run the loop that the one argument, the settings as JSON, describes; its result is one JSON line on stdout."""
    settings = PlainSettings(**json.loads(arguments[0]))

    def run() -> int:
        # No epochs: the libraries and the weights are read from the disk, or fetched, before anything is timed.
        result = train_plainly(settings) if settings.epochs else prepare(settings)
        sys.stdout.write(json.dumps(result) + "\n")
        return 0

    return exit_code(run, plain=True)


def prepare(settings: PlainSettings) -> dict[str, Any]:
    """Load everything the loop needs, and train nothing.

    Raises:
        WeightsError: the weights cannot be had or do not fit.
    """
    _loaders(settings)
    _pretrained(settings, classes=2)
    return {}


def train_plainly(settings: PlainSettings) -> dict[str, Any]:
    """Train and validate every epoch; gives `accuracy` (0..1, of the best epoch), `n` and `epoch_seconds`.

    Raises:
        WeightsError: the weights cannot be had or do not fit.
    """
    import torch
    from torch import nn

    torch.manual_seed(settings.seed)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    loaders = _loaders(settings)
    sizes = {phase: len(loaders[phase].dataset) for phase in PHASES}  # type: ignore[arg-type]
    model, backbone = _pretrained(settings, classes=len(loaders["train"].dataset.classes))  # type: ignore[attr-defined]
    model = model.to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = _optimizer(model, backbone, settings.strategy)

    best_weights = copy.deepcopy(model.state_dict())
    best_accuracy = 0.0
    epoch_seconds = []
    for _ in range(settings.epochs):
        started = time.perf_counter()
        for phase in PHASES:
            if phase == "train":
                model.train()
            else:
                model.eval()
            running_loss = 0.0
            running_corrects = 0
            for images, truth in loaders[phase]:
                inputs, labels = images.to(device), truth.to(device)
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    outputs = model(inputs)
                    _, predictions = torch.max(outputs, 1)
                    loss = criterion(outputs, labels)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()
                running_loss += loss.item() * inputs.size(0)
                running_corrects += int(torch.sum(predictions == labels))
            accuracy = running_corrects / sizes[phase]
            sys.stderr.write(f"{phase} loss {running_loss / sizes[phase]:.4f} accuracy {accuracy:.4f}\n")
            if phase == "val" and accuracy > best_accuracy:
                best_accuracy = accuracy
                best_weights = copy.deepcopy(model.state_dict())
        epoch_seconds.append(time.perf_counter() - started)
    model.load_state_dict(best_weights)
    return {"accuracy": best_accuracy, "n": sizes["val"], "epoch_seconds": epoch_seconds}


def _loaders(settings: PlainSettings) -> dict[str, torch.utils.data.DataLoader[Any]]:
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    from edge_train import preset

    _, mean, std = preset(find_backbone(settings.backbone))
    resize = transforms.Resize((settings.image_size, settings.image_size))
    to_input = [transforms.ToTensor(), transforms.Normalize(mean, std)]
    steps = {"train": [resize, transforms.RandomHorizontalFlip(), *to_input], "val": [resize, *to_input]}
    sets = {
        phase: datasets.ImageFolder(str(Path(settings.data) / phase), transforms.Compose(steps[phase]))
        for phase in PHASES
    }
    return {
        phase: DataLoader(sets[phase], batch_size=settings.batch_size, shuffle=True, num_workers=WORKERS)
        for phase in PHASES
    }


def _pretrained(settings: PlainSettings, *, classes: int) -> tuple[nn.Module, Backbone]:
    from edge_train import build, load_pretrained, parse_weights

    backbone = find_backbone(settings.backbone)
    model = build(backbone, classes=classes)
    choice = "none" if settings.strategy == "scratch" else parse_weights(settings.weights)
    if choice != "none":
        load_pretrained(model, backbone, choice)
    return model, backbone


def _optimizer(model: nn.Module, backbone: Backbone, strategy: str) -> torch.optim.Optimizer:
    """Adam on the new head alone, everything before it frozen; on all parameters, at discriminative rates or one."""
    import torch

    if strategy == "scratch":
        return torch.optim.Adam(model.parameters(), lr=HEAD_RATE)

    if strategy == "feature-extraction":
        for name, parameter in model.named_parameters():
            parameter.requires_grad = backbone.stage_of(name) == "head"
        return torch.optim.Adam(model.get_submodule(backbone.head).parameters(), lr=HEAD_RATE)
    rates = {"head": HEAD_RATE, backbone.stages[-1].name: LAST_STAGE_RATE}
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        groups.setdefault(rates.get(backbone.stage_of(name), BODY_RATE), []).append(parameter)
    return torch.optim.Adam([{"params": parameters, "lr": rate} for rate, parameters in groups.items()])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
