"""The epochs of a run: train, validate, keep the best, and be able to go on after a kill at any moment.

An epoch depends on the state in last.pt, the settings and its number alone: order, augmentation and dropout
are drawn from (seed, epoch). best.pt is written before last.pt, so a run killed between the two does the
epoch again and writes the same best.pt again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from edge_runtime import CheckpointError, EdgeError, Run
from edge_train.batches import training_batches
from edge_train.checkpoint import Checkpoint, save_checkpoint
from edge_train.job import Job
from edge_train.loop import Learning, train_epoch
from edge_train.runfolder import EpochRow, write_metrics
from edge_train.schedules import Schedule
from edge_train.strategies import layer_groups, make_optimizer

__all__ = ["FitState", "class_weights", "fit"]

BATCH_NORM_IMAGES = 1024


@dataclass(slots=True)
class FitState:
    """How far a run has come: epochs done, the best of them, and one row for each."""

    epoch: int = 0
    best_epoch: int = 0
    best_accuracy: float = -1.0
    best_loss: float = math.inf
    history: list[EpochRow] = field(default_factory=list)

    def note(self, row: EpochRow) -> bool:
        """Add an epoch; tells whether it is the best: the highest validation accuracy, then the lowest loss."""
        self.epoch = row.epoch
        self.history.append(row)
        if (row.val_accuracy, -row.val_loss) <= (self.best_accuracy, -self.best_loss):
            return False
        self.best_epoch, self.best_accuracy, self.best_loss = row.epoch, row.val_accuracy, row.val_loss
        return True


def fit(job: Job, run: Run, saved: Mapping[str, Any] | None = None) -> FitState:
    """Train all epochs, or those that are left after `saved`, the training state of the run's last.pt.

    Raises:
        EdgeError: the loss is no longer a number; the epochs before it are kept.
        OutputError: the run folder cannot be written; the last good checkpoint is kept.
    """
    settings, progress = job.settings, job.progress
    groups = layer_groups(job.network, job.backbone, job.strategy)
    optimizer = make_optimizer(
        groups, settings.optimizer, lr_scale=settings.lr_scale, weight_decay=settings.weight_decay
    )
    steps = -(-len(job.splits.train) // settings.batch_size)
    schedule = Schedule(settings.schedule, steps * settings.epochs, round(steps * settings.warmup_epochs))
    state = FitState()
    if saved:
        _restore(saved, state, optimizer, schedule)
    learning = Learning(
        optimizer,
        schedule,
        label_smoothing=settings.label_smoothing,
        clip_norm=settings.clip_norm,
        class_weights=class_weights(job).to(job.device) if settings.class_balance == "weights" else None,
    )
    trained = sum(p.numel() for group in groups for p in group.parameters)
    total = sum(p.numel() for p in job.network.parameters())
    progress.say(f"training {trained:,} of {total:,} parameters ({trained / total:.1%}) on {job.device}")
    while state.epoch < settings.epochs and not _is_patient_no_more(state, settings.patience):
        row = _run_epoch(job, run, learning, state.epoch + 1, first_step=state.epoch * steps)
        schedule.end_epoch(row.val_loss)
        best = state.note(row)
        _keep(job, run, state, learning, best=best)
        progress.say(row.describe(settings.epochs, best=best))
    if state.epoch < settings.epochs:
        progress.say(f"stopped early: no better epoch in {settings.patience}")
    return state


def _run_epoch(job: Job, run: Run, learning: Learning, epoch: int, *, first_step: int) -> EpochRow:
    settings, progress = job.settings, job.progress
    # Dropout draws from torch's own generator.
    torch.manual_seed(int(np.random.SeedSequence([settings.seed, epoch]).generate_state(1)[0]))
    progress.begin(f"epoch {epoch}/{settings.epochs}", len(job.splits.train))
    batches = training_batches(
        job.store,
        job.splits.train,
        job.augment,
        batch_size=settings.batch_size,
        seed=settings.seed,
        epoch=epoch,
        balanced=settings.class_balance == "sampler",
    )
    try:
        result = train_epoch(
            job.network,
            job.backbone,
            job.strategy,
            learning,
            batches,
            device=job.device,
            first_step=first_step,
            on_images=progress.advance,
        )
    except FloatingPointError as error:
        raise EdgeError(
            f"epoch {epoch}: {error}", f"{run.path} keeps the epochs before it; try a smaller --lr-scale"
        ) from error
    progress.end()
    if job.strategy == "scratch":
        _reestimate_batch_norm(job, epoch)
    val = job.outputs(job.splits.val, "validating")
    return EpochRow(epoch, result, val.loss, val.accuracy)


def _reestimate_batch_norm(job: Job, epoch: int) -> None:
    """Take batch norm's statistics anew over up to 1,024 training images (PreciseBN, Wu and Johnson 2021).

    Its running averages lag behind weights that move fast: after a few hundred steps from random weights,
    MobileNetV3 (momentum 0.01) validates at chance with them, and well without.
    """
    count = min(len(job.splits.train), BATCH_NORM_IMAGES)
    batches = training_batches(
        job.store, job.splits.train, job.augment, batch_size=64, seed=job.settings.seed, epoch=epoch
    )
    some = itertools.islice((images for images, _ in batches), -(-count // 64))
    torch.optim.swa_utils.update_bn(some, job.network, device=job.device)


def _keep(job: Job, run: Run, state: FitState, learning: Learning, *, best: bool) -> None:
    network = job.network.state_dict()
    if best:
        save_checkpoint(run.best, Checkpoint(job.card, network, state.epoch, {}))
    training = {
        "optimizer": learning.optimizer.state_dict(),
        "plateau": [learning.schedule.plateau, learning.schedule.lowest_loss, learning.schedule.stale_epochs],
        "best": [state.best_epoch, state.best_accuracy, state.best_loss],
        "history": [row.to_json() for row in state.history],
    }
    save_checkpoint(run.last, Checkpoint(job.card, network, state.epoch, training))
    write_metrics(run, state.history)


def _restore(saved: Mapping[str, Any], state: FitState, optimizer: torch.optim.Optimizer, schedule: Schedule) -> None:
    try:
        optimizer.load_state_dict(saved["optimizer"])
        schedule.plateau, schedule.lowest_loss, schedule.stale_epochs = saved["plateau"]
        state.best_epoch, state.best_accuracy, state.best_loss = saved["best"]
        state.history = [EpochRow.from_json(row) for row in saved["history"]]
        state.epoch = len(state.history)
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"last.pt lacks what a run is resumed with: {error}", "train again") from error


def _is_patient_no_more(state: FitState, patience: int | None) -> bool:
    return patience is not None and state.epoch - state.best_epoch >= patience


def class_weights(job: Job) -> torch.Tensor:
    """Loss weights, float32 `[classes]`: inversely proportional to a class's training images, 1 on average."""
    counts = np.bincount([sample.label for sample in job.splits.train], minlength=len(job.card.labels))
    weights = len(job.splits.train) / (len(counts) * np.maximum(counts, 1))
    return torch.tensor(weights, dtype=torch.float32)
