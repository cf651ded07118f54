"""A teacher: a finished run whose answers a smaller backbone learns from (Hinton et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from edge_data import Splits, read_split
from edge_runtime import DataError, Run, UsageError
from edge_train.network.checkpoint import load_checkpoint
from edge_train.network.network import Network
from edge_train.settings import Precision
from edge_train.strategy.mixed_precision import autocast


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """The best network of a run, in evaluation mode on the training device, and its own input size."""

    network: Network
    size_px: tuple[int, int]
    device: torch.device
    precision: Precision

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Its answers, float32 `[N, classes]`, to the student's images, uint8 `[N, H, W, 3]`, resized to its size."""
        if tuple(images.shape[1:3]) != self.size_px:
            pixels = images.permute(0, 3, 1, 2).float()
            resized = functional.interpolate(pixels, self.size_px, mode="bilinear", antialias=True)
            images = resized.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        with autocast(self.device, self.precision):
            answers: Tensor = self.network(images)
        return answers.float()


def load_teacher(
    run: Run,
    labels: Sequence[str],
    fingerprint: str,
    splits: Splits,
    *,
    device: torch.device,
    precision: Precision,
) -> Teacher:
    """The teacher that `run` holds, for a student with these labels, data fingerprint and splits.

    Raises:
        CheckpointError: the run has no usable best.pt.
        UsageError: it answers other labels, or learned from images the student is measured on.
    """
    checkpoint = load_checkpoint(run.best)
    card = checkpoint.card
    if card.labels != tuple(labels):
        raise UsageError(
            f"the teacher {run.path} tells {', '.join(card.labels[:5])} apart, the data has {', '.join(labels[:5])}",
            "train the teacher on the same classes",
        )
    if card.data.get("fingerprint") == fingerprint:
        require_unseen(run, labels, splits, role="teacher")
    network = checkpoint.build().to(device).requires_grad_(False)
    return Teacher(network, (card.preprocessing.height_px, card.preprocessing.width_px), device, precision)


def require_unseen(run: Run, labels: Sequence[str], splits: Splits, *, role: str) -> None:
    """Raise UsageError where the run, the teacher for one, was trained on images that are measured on here.

    What it learned by heart would come back as the new network's own merit.
    """
    try:
        taught = read_split(run.split, labels)
    except DataError:
        return
    learned = {name for sample in taught.train for name in (sample.path, taught.groups.get(sample.path))}
    # Its twin teaches as much as the image itself, but nothing that the run's own training does not where a split that
    # was found has the group on both sides.
    twins = learned - {splits.groups.get(sample.path) for sample in splits.train}
    seen = sum(
        sample.path in learned or splits.groups.get(sample.path, sample.path) in twins
        for sample in (*splits.val, *splits.test)
    )
    if seen:
        raise UsageError(
            f"the {role} {run.path} was trained on {seen} of the images this run is measured on",
            f"split alike: `seed` {run.read_config().get('settings', {}).get('seed', 0)} and its `limit` "
            "and `group_by`",
        )
