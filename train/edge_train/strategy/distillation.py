"""A teacher: a finished run whose answers a smaller backbone learns from (Hinton et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional

from edge_data import Splits
from edge_runtime import ClassFolders, Run, UsageError, composed
from edge_train.network.checkpoint import load_checkpoint
from edge_train.network.device_memory import Portions, is_out_of_memory
from edge_train.network.network import Network
from edge_train.settings import Precision
from edge_train.strategy.mixed_precision import autocast
from edge_train.strategy.seen_images import require_unseen


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """The best network of a run, in evaluation mode on the training device, and its own input size.

    `portions` are those in which it answers where memory does not suffice.
    """

    network: Network
    size_px: tuple[int, int]
    device: torch.device
    precision: Precision
    portions: Portions = field(default_factory=Portions)

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Its answers, float32 `[N, classes]`, to the student's images, uint8 `[N, H, W, 3]`, resized to its size."""
        return self.portions.answer(self._answer, images)

    def _answer(self, images: Tensor) -> Tensor:
        if tuple(images.shape[1:3]) != self.size_px:
            pixels = images.permute(0, 3, 1, 2).float()
            resized = functional.interpolate(pixels, self.size_px, mode="bilinear", antialias=True)
            images = resized.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        with autocast(self.device, self.precision):
            answers: Tensor = self.network(images)
        return answers.float()


def load_teacher(
    run: Run,
    folders: ClassFolders,
    splits: Splits,
    *,
    device: torch.device,
    precision: Precision,
) -> Teacher:
    """The teacher that `run` holds, for a student of this data and these splits.

    Raises:
        CheckpointError: the run has no usable best.pt.
        UsageError: its labels mean something else, or are others, or it learned from images the student is measured on.
    """
    checkpoint = load_checkpoint(run.best)
    card, labels = checkpoint.card, folders.labels
    if card.kind != folders.kind:
        # The logits of several yes or no are none of one softmax, though the labels be the same.
        raise UsageError(
            f"the teacher {run.path} is a {card.kind} run, the data is {folders.kind}",
            "train the teacher on the same labels, read alike",
        )
    if [*map(composed, card.labels)] != [*labels]:
        raise UsageError(
            f"the teacher {run.path} tells {', '.join(card.labels[:5])} apart, the data has {', '.join(labels[:5])}",
            "train the teacher on the same classes",
        )
    require_unseen(run, card, folders, splits, role="teacher")
    network = checkpoint.build().to(device).requires_grad_(False)
    made = Teacher(network, (card.preprocessing.height_px, card.preprocessing.width_px), device, precision)
    return made if precision == "fp32" or _answers(made) else replace(made, precision="fp32")


def _answers(teacher: Teacher) -> bool:
    """Whether it can be computed in its precision, which not every network of a user's own can."""
    try:
        teacher.logits(torch.zeros(2, *teacher.size_px, 3, dtype=torch.uint8, device=teacher.device))
    except (RuntimeError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        return False
    return True
