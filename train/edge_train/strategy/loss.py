"""What training minimises: cross-entropy, and the distance from a teacher's answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Distillation:
    """How much of the loss is the teacher's, and at which temperature both answers are softened."""

    weight: float
    temperature: float


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """The loss of a step; `class_weights` is float32 `[classes]` on the training device.

    An image weighs what its class does, and a blend what its classes do, in their shares. The sum is divided by the
    number of images: divided by a batch's own weights, a class would lose its weight in all batches that lack it.

    With a teacher it is (1 - w) of cross-entropy and w of T² KL(teacher || student), both softened by T (Hinton
    et al. 2015, section 2).
    """

    label_smoothing: float = 0.0
    class_weights: Tensor | None = None
    distillation: Distillation | None = None

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """What of the loss itself is learned, with the network."""
        return ()

    def weight(self, targets: Tensor) -> Tensor:
        """What the summed cross-entropy of a batch with these targets is divided by, a scalar."""
        return torch.tensor(float(len(targets)), device=targets.device)

    def __call__(
        self, logits: Tensor, targets: Tensor, *, weight: Tensor, images: int, teacher: Tensor | None = None
    ) -> Tensor:
        """The part of a batch's mean loss that these answers make, a scalar.

        `logits` are float32 `[n, classes]`, `targets` int64 `[n]` or probabilities `[n, classes]`; `weight` and
        `images` are those of the whole batch, so that the losses of its pieces add up to its own. `teacher` are the
        teacher's logits.
        """
        losses = nn.functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing, reduction="none")
        if self.class_weights is not None:
            # Not torch's own weights: those make of the smoothed part a demand for the rare class in every image.
            blended = targets.is_floating_point()
            losses = losses * (targets @ self.class_weights if blended else self.class_weights[targets])
        loss = losses.sum() / weight
        if self.distillation is None or teacher is None:
            return loss
        soft = self.distillation
        distance = nn.functional.kl_div(
            torch.log_softmax(logits / soft.temperature, dim=1),
            torch.log_softmax(teacher / soft.temperature, dim=1),
            reduction="sum",
            log_target=True,
        )
        return (1 - soft.weight) * loss + soft.weight * soft.temperature**2 * distance / images

    def right(self, logits: Tensor, targets: Tensor) -> Tensor:
        """How many of the answers are right, a scalar; of a blend, where they are the class it has most of."""
        truth = targets.argmax(dim=1) if targets.is_floating_point() else targets
        return (logits.argmax(dim=1) == truth).sum()
