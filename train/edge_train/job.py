"""What the steps of one run share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from edge_runtime import ModelCard, Sample
from edge_train.augment import Augmentation
from edge_train.backbones import Backbone
from edge_train.batches import evaluation_batches
from edge_train.loop import Outputs, run_network
from edge_train.network import Network
from edge_train.progress import Progress
from edge_train.settings import Strategy, TrainSettings
from edge_train.splits import Splits
from edge_train.store import ImageStore

__all__ = ["Job"]


@dataclass(slots=True, eq=False)
class Job:
    """A run that is ready to start: settings resolved, images read, weights loaded."""

    settings: TrainSettings
    progress: Progress
    backbone: Backbone
    strategy: Strategy
    network: Network
    store: ImageStore
    splits: Splits
    augment: Augmentation
    device: torch.device
    card: ModelCard

    def outputs(self, samples: Sequence[Sample], task: str) -> Outputs:
        """What the network answers on `samples`, as the runtime would show them to it."""
        self.progress.begin(task, len(samples))
        batches = evaluation_batches(self.store, samples, batch_size=max(64, self.settings.batch_size))
        outputs = run_network(self.network, batches, device=self.device, on_images=self.progress.advance)
        self.progress.end()
        return outputs
