"""The training loop: one epoch of learning, one pass of measuring."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from edge_train.backbones import Backbone
from edge_train.batches import Batch
from edge_train.network import Network
from edge_train.schedules import Schedule
from edge_train.settings import Strategy
from edge_train.strategies import set_mode

__all__ = ["EpochResult", "Learning", "Outputs", "run_network", "train_epoch"]


@dataclass(frozen=True, slots=True)
class EpochResult:
    """One epoch of training: the mean loss and the accuracy (0..1) over its augmented images, and its time."""

    loss: float
    accuracy: float
    images: int
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What a network answers on a split: logits float32 `[N, classes]`, true classes int64 `[N]`."""

    logits: torch.Tensor
    labels: torch.Tensor

    @property
    def loss(self) -> float:
        """Mean cross-entropy."""
        return float(nn.functional.cross_entropy(self.logits, self.labels))

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy in 0..1."""
        return float((self.logits.argmax(dim=1) == self.labels).double().mean())


@dataclass(frozen=True, slots=True, eq=False)
class Learning:
    """How a step is taken; `class_weights` is float32 `[classes]` on the training device."""

    optimizer: torch.optim.Optimizer
    schedule: Schedule
    label_smoothing: float = 0.0
    clip_norm: float | None = None
    class_weights: torch.Tensor | None = None

    def step(self, network: Network, images: torch.Tensor, labels: torch.Tensor, step: int) -> tuple[torch.Tensor, ...]:
        """One step of gradient descent; gives the loss and the logits back."""
        self.schedule.apply(self.optimizer, step)
        logits = network(images)
        loss = nn.functional.cross_entropy(
            logits, labels, weight=self.class_weights, label_smoothing=self.label_smoothing
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), self.clip_norm)
        self.optimizer.step()
        return loss.detach(), logits.detach()


def train_epoch(
    network: Network,
    backbone: Backbone,
    strategy: Strategy,
    learning: Learning,
    batches: Iterable[Batch],
    *,
    device: torch.device,
    first_step: int = 0,
    on_images: Callable[[int], object] = lambda _: None,
) -> EpochResult:
    """Train once over `batches`; `on_images` is called with the size of each batch done.

    Raises:
        FloatingPointError: the loss is no longer a finite number.
    """
    set_mode(network, backbone, strategy)
    started = time.perf_counter()
    loss_sum = torch.zeros((), device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    count = 0
    for step, batch in enumerate(batches, start=first_step):
        images, labels = (tensor.to(device) for tensor in batch)
        loss, logits = learning.step(network, images, labels, step)
        loss_sum += loss * len(labels)
        correct += (logits.argmax(dim=1) == labels).sum()
        count += len(labels)
        on_images(len(labels))
    mean_loss = float(loss_sum) / count
    if not torch.isfinite(loss_sum):
        raise FloatingPointError(f"the training loss became {mean_loss}")
    return EpochResult(mean_loss, int(correct) / count, count, time.perf_counter() - started)


def run_network(
    network: Network,
    batches: Iterable[Batch],
    *,
    device: torch.device,
    on_images: Callable[[int], object] = lambda _: None,
) -> Outputs:
    """The network's answers on `batches` in evaluation mode, gathered on the CPU."""
    network.eval()
    logits, labels = [], []
    with torch.inference_mode():
        for images, truth in batches:
            logits.append(network(images.to(device)).float().cpu())
            labels.append(truth)
            on_images(len(truth))
    return Outputs(torch.cat(logits), torch.cat(labels))
