"""The training loop: one epoch of learning."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from edge_train.network.device_memory import free_cached_memory, is_out_of_memory, out_of_memory
from edge_train.network.moving_average import MovingAverage
from edge_train.network.network import Network
from edge_train.run.batches import Batch
from edge_train.run.processes import ALONE, World
from edge_train.settings import Precision
from edge_train.strategy.distillation import Teacher
from edge_train.strategy.learning_rate import Schedule
from edge_train.strategy.loss import Objective
from edge_train.strategy.mixed_precision import training_in
from edge_train.strategy.mixup import Mixing
from edge_train.strategy.plan import BATCH_NORM


@dataclass(frozen=True, slots=True)
class EpochResult:
    """One epoch of training: the mean loss and the accuracy (0..1) over its augmented images, and its time."""

    loss: float
    accuracy: float
    images: int
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class BatchEnd:
    """A step that was taken: its number in the run, from 1, its images, and the highest rate of all layers.

    Under torchrun images and loss are those of this process's share.
    """

    step: int
    images: int
    learning_rate: float
    _loss_sum: Tensor

    @property
    def loss(self) -> float:
        """The mean loss of its images. Asking for it waits for the device."""
        return float(self._loss_sum) / self.images


@dataclass(slots=True, eq=False)
class Learning:
    """How a step is taken. `at_once` is how many images go through the network together, None for all.

    `network` is what is optimised and averaged; a step is given the model that reads the batch, which is the
    network itself, its head, or the network wrapped to run on several processes.
    """

    network: Network
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    objective: Objective = field(default_factory=Objective)
    clip_norm: float | None = None
    precision: Precision = "fp32"
    mixing: Mixing | None = None
    average: MovingAverage | None = None
    teacher: Teacher | None = None
    world: World = ALONE
    at_once: int | None = None
    say: Callable[[str], object] = lambda _: None

    @property
    def evaluated(self) -> Network:
        """The network that is validated and kept: the average, where there is one."""
        return self.network if self.average is None else self.average.network

    @property
    def layer_groups(self) -> list[dict[str, Any]]:
        """The optimiser's groups without what the loss itself learns, whose rate is no layer's."""
        own = {id(parameter) for parameter in self.objective.parameters}
        groups = self.optimizer.param_groups
        return [group for group in groups if not all(id(parameter) in own for parameter in group["params"])]

    @property
    def rate(self) -> float:
        """The highest rate of all layers, as the last step was taken with."""
        return max(float(group["lr"]) for group in self.layer_groups)

    def step(self, model: nn.Module, batch: tuple[Tensor, ...], step: int) -> tuple[Tensor, Tensor]:
        """One step of gradient descent; gives back the summed loss and how many were right, as scalars.

        Of pictures with several labels the latter is the sum of the shares of each one's that are right.
        """
        self.schedule.apply(self.optimizer, step)
        inputs, targets, *rest = batch
        if self.mixing is not None:
            inputs, targets = self.mixing(inputs, targets)
        taught = rest[0] if rest else self._taught(inputs)
        while True:
            self.optimizer.zero_grad(set_to_none=True)
            try:
                loss, correct = self._gradients(model, inputs, targets, taught)
                break
            except RuntimeError as error:
                self._go_smaller(error, len(inputs), model)
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.network)
        return loss, correct

    def _taught(self, inputs: Tensor) -> Tensor | None:
        if self.teacher is None:
            return None
        return torch.cat([self.teacher.logits(part) for part in inputs.tensor_split(self._parts(len(inputs)))])

    def _gradients(
        self, model: nn.Module, inputs: Tensor, targets: Tensor, taught: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        weight = self.world.sum(self.objective.weight(targets))
        images = int(self.world.sum(torch.tensor(len(targets), device=targets.device)))
        total = torch.zeros((), device=inputs.device)
        correct = torch.zeros((), dtype=torch.int64, device=inputs.device)
        parts = self._parts(len(inputs), model)
        for part in zip(*(t.tensor_split(parts) for t in (inputs, targets, taught) if t is not None), strict=True):
            with training_in(inputs.device, self.precision):
                logits = model(part[0]).float()
            loss = self.objective(
                logits, part[1], weight=weight, images=images, teacher=part[2] if taught is not None else None
            )
            # Processes average their gradients, while each one's loss is its share of the batch's.
            (loss * self.world.size).backward()  # type: ignore[no-untyped-call]
            total += loss.detach() * images
            # A count stays one; a sum of shares makes it a sum of shares.
            correct = correct + self.objective.right(logits.detach(), part[1])
        for learned in self.objective.parameters:
            if learned.grad is not None:
                learned.grad = self.world.sum(learned.grad) / self.world.size
        return total, correct

    def _go_smaller(self, error: RuntimeError, images: int, model: nn.Module) -> None:
        """Halve what goes through the network at once. Raises what cannot be helped so."""
        if not is_out_of_memory(error):
            raise error
        parts = self._parts(images, model)
        self.at_once = -(-images // parts // 2)
        if self.world.size > 1 or self._parts(images, model) == parts:
            raise out_of_memory() from error
        self.optimizer.zero_grad(set_to_none=True)
        free_cached_memory()
        self.say(
            f"note: memory does not suffice for {images} images at once; "
            f"they go in {self._parts(images, model)} parts, whose gradients are summed"
        )

    def _parts(self, images: int, model: nn.Module | None = None) -> int:
        """In how many parts images go through a network that learns, or one that only answers (None)."""
        if self.at_once is None:
            return 1
        # Of one image batch norm may have no statistics: the part joins its neighbours.
        least = 2 if model is not None and any(map(_takes_statistics, model.modules())) else 1
        return max(1, min(-(-images // self.at_once), images // least))


def _takes_statistics(module: nn.Module) -> bool:
    return isinstance(module, BATCH_NORM) and (module.training or module.running_mean is None)


def train_epoch(
    model: nn.Module,
    learning: Learning,
    batches: Iterable[Batch],
    *,
    device: torch.device,
    first_step: int = 0,
    on_batch: Callable[[BatchEnd], object] = lambda _: None,
) -> EpochResult:
    """Train once over `batches`; `on_batch` is called after each step.

    Raises:
        FloatingPointError: the loss is no longer a finite number.
    """
    started = time.perf_counter()
    loss_sum = torch.zeros((), device=device)
    correct_sum = torch.zeros((), dtype=torch.int64, device=device)
    count = 0
    for step, batch in enumerate(batches, start=first_step):
        loss, correct = learning.step(model, tuple(tensor.to(device) for tensor in batch), step)
        loss_sum += loss
        correct_sum = correct_sum + correct
        count += len(batch[1])
        on_batch(BatchEnd(step + 1, len(batch[1]), learning.rate, loss))
    world = learning.world
    images = int(world.sum(torch.tensor(count, device=device)))
    mean_loss = float(world.sum(loss_sum)) / images
    if not math.isfinite(mean_loss):
        raise FloatingPointError(f"the training loss became {mean_loss}")
    return EpochResult(mean_loss, float(world.sum(correct_sum)) / images, images, time.perf_counter() - started)
