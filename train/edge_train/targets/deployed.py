"""What is exported of a network whose pictures may have several labels: its outputs, sigmoid or one softmax a task."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edge_runtime import ModelCard, Task, task_slices
from edge_train.network.network import DeployedNetwork, Network


class LabelNetwork(DeployedNetwork):
    """uint8 images `[N, H, W, 3]` to float32 probabilities `[N, classes]`, sigmoid(logits / temperature)."""

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities of already resized and cropped images, each in 0..1."""
        return torch.sigmoid(self.network(images) / self.temperature)


class TaskNetwork(DeployedNetwork):
    """uint8 images `[N, H, W, 3]` to float32 probabilities `[N, labels]` of each task, at its own temperature."""

    def __init__(self, network: Network, tasks: Sequence[Task]) -> None:
        super().__init__(network)
        self.heads = tuple((own.start, own.stop, task.temperature) for task, own in task_slices(tasks))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Probabilities of already resized and cropped images; each row of each task sums to 1."""
        logits = self.network(images)
        return tuple(torch.softmax(logits[:, start:stop] / heat, dim=1) for start, stop, heat in self.heads)


def deploy(network: Network, card: ModelCard) -> DeployedNetwork:
    """The network as it is exported: with the outputs that `card` names. Raises ValueError as DeployedNetwork does."""
    if card.tasks:
        return TaskNetwork(network, card.tasks)
    return (LabelNetwork if card.thresholds else DeployedNetwork)(network, card.temperature)
