"""What the steps of one run share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from edge_data import Augmentation, ImageStore, Splits
from edge_runtime import ModelCard, Progress, Sample
from edge_train.network.backbones import Backbone
from edge_train.network.device_memory import Portions
from edge_train.network.network import Network
from edge_train.run.batches import evaluation_batches
from edge_train.run.callbacks import SILENT, Listeners
from edge_train.run.processes import ALONE, World
from edge_train.run.split_answers import answer_logits
from edge_train.run.sweep_part import WHOLE, SweepPart
from edge_train.settings import Precision, Strategy, TrainSettings
from edge_train.strategy.distillation import Teacher
from edge_train.strategy.plan import Plan
from edge_train.targets.kinds import kind_of
from edge_train.targets.target_kind import Answers, TargetKind


@dataclass(slots=True, eq=False)
class Job:
    """A run that is ready to start: settings resolved, images read, weights loaded.

    `places` are the folders and manifests that name its images. One whose split has no validation
    trains on everything. `keeps_logits` is for a fold of a cross-validation, `part` for a run of a sweep.
    `pruning` is what config.json says of the channels taken from the network that it begins with. `portions` are those
    in which images are evaluated where memory does not suffice.
    """

    settings: TrainSettings
    progress: Progress
    plan: Plan
    network: Network
    store: ImageStore
    splits: Splits
    augment: Augmentation
    device: torch.device
    card: ModelCard
    precision: Precision = "fp32"
    teacher: Teacher | None = None
    world: World = ALONE
    keeps_logits: bool = False
    places: tuple[Path, ...] = ()
    listeners: Listeners = SILENT
    part: SweepPart = WHOLE
    pruning: Mapping[str, Any] | None = None
    portions: Portions = field(default_factory=Portions)

    @property
    def backbone(self) -> Backbone:
        """The architecture."""
        return self.plan.backbone

    @property
    def strategy(self) -> Strategy:
        """What `auto` came to, or what was asked for."""
        return self.plan.strategy

    @property
    def targets(self) -> TargetKind:
        """What its pictures' labels mean."""
        return kind_of(self.card)

    def answers(
        self,
        samples: Sequence[Sample],
        task: str,
        *,
        network: Network | None = None,
        precision: Precision = "fp32",
    ) -> Answers:
        """What `network` (the job's own by default) answers on `samples`, as the runtime would show them to it."""
        self.progress.begin(task, len(samples))
        batch_size = max(64, self.settings.batch_size)
        logits = answer_logits(
            network or self.network,
            evaluation_batches(self.store, self.world.shard(samples), batch_size=batch_size),
            device=self.device,
            precision=precision,
            world=self.world,
            on_images=lambda count: self.progress.advance(count * self.world.size),
            portions=self.portions,
        )
        self.progress.end()
        return self.targets.answers(samples, logits, self.splits.groups)
