"""Pictures with a label for each of several tasks, some of which may be missing: one head, a slice for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from edge_runtime import MISSING, ModelCard, Sample, Task, TaskMetrics, task_slices
from edge_train.run.split_answers import SplitAnswers
from edge_train.settings import BestBy, Criterion, TrainSettings
from edge_train.strategy.loss import Distillation, Objective
from edge_train.targets.target_kind import Answers, Measured, TargetKind, Validated, balance
from edge_train.targets.task_weights import LEARNED, parse_task_weights


@dataclass(frozen=True, slots=True, eq=False)
class TaskObjective(Objective):
    """The weighted sum of the tasks' cross-entropies, each the mean over the images that have a label for it.

    `slices` are the tasks' logits, `weights` what each task's loss weighs. `log_variances`, float32 `[tasks]`, are
    learned in place of weights where there are any: a loss L counts as exp(-s) L + s / 2, with s the logarithm of the
    task's variance (Kendall, Gal and Cipolla 2018, equation 10 for classification). `task_class_weights` has float32
    `[classes]` for each task, or is empty; they are heeded as an objective of one label heeds its own.
    """

    slices: tuple[slice, ...] = ()
    weights: tuple[float, ...] = ()
    log_variances: nn.Parameter | None = None
    task_class_weights: tuple[Tensor, ...] = field(default=())

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """What is learned with the network."""
        return () if self.log_variances is None else (self.log_variances,)

    def weight(self, targets: Tensor) -> Tensor:
        """What each task's summed cross-entropy is divided by, `[tasks]`; 0 for one without a label in the batch."""
        return (targets != MISSING).sum(dim=0).float()

    def __call__(
        self,
        logits: Tensor,
        targets: Tensor,
        *,
        weight: Tensor,
        images: int,
        teacher: Tensor | None = None,  # noqa: ARG002 (refused before)
    ) -> Tensor:
        """The part of a batch's mean loss that these answers make.

        `logits` are float32 `[n, classes of all tasks]`, `targets` int64 `[n, tasks]`, -1 where a label is missing.
        """
        total = torch.zeros((), device=logits.device)
        for at, own in enumerate(self.slices):
            truth = targets[:, at]
            losses = cross_entropy(
                logits[:, own], truth, label_smoothing=self.label_smoothing, ignore_index=MISSING, reduction="none"
            )
            if self.task_class_weights:
                # Where a label is missing the loss is 0, whatever it weighs.
                losses = losses * self.task_class_weights[at][truth.clamp(min=0)]
            there = weight[at] > 0
            loss = losses.sum() / torch.where(there, weight[at], 1.0)
            if self.log_variances is None:
                total = total + self.weights[at] * loss
            else:
                log_variance = self.log_variances[at]
                # What has no label in the batch says nothing of its task's variance either.
                total = total + torch.exp(-log_variance) * loss + there * log_variance / 2 * len(targets) / images
        return total

    def right(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The sum over the images of the share of their labels that are answered, a scalar."""
        said = torch.stack([logits[:, own].argmax(dim=1) for own in self.slices], dim=1)
        known = targets != MISSING
        return ((said == targets) & known).sum(dim=1).div(known.sum(dim=1)).sum()


@dataclass(frozen=True, slots=True, eq=False)
class TaskAnswers(Answers):
    """The answers to pictures of several tasks; `parts` has those of each task to the pictures with a label for it."""

    parts: Mapping[str, SplitAnswers]

    @property
    def loss(self) -> float:
        """The sum of the tasks' mean cross-entropies."""
        return sum(part.loss for part in self.parts.values())

    @property
    def mean_accuracy(self) -> float:
        """The mean of the tasks' accuracies, over those that have a label here."""
        return sum(part.accuracy.share for part in self.parts.values()) / len(self.parts)

    def validated(self, criterion: Criterion) -> Validated:  # noqa: ARG002 (every task's is shown)
        """Loss, the mean accuracy of the tasks, and each task's own."""
        each = {f"val_accuracy_{name}": part.accuracy.share for name, part in self.parts.items()}
        return Validated(self.loss, self.mean_accuracy, more=each)


class MultiTask(TargetKind):
    """Each picture has a label for each of several tasks, or for some of them."""

    def array(self, samples: Sequence[Sample]) -> NDArray[Any]:
        """The class in each task, -1 where the label is missing; int64 `[N, tasks]`."""
        return np.array([sample.targets for sample in samples], dtype=np.int64).reshape(-1, len(self.card.tasks))

    def objective(
        self,
        settings: TrainSettings,
        samples: Sequence[Sample],
        device: torch.device,
        distillation: Distillation | None = None,  # noqa: ARG002 (refused before)
    ) -> Objective:
        """The tasks' cross-entropies, weighed as was asked for."""
        tasks = self.card.tasks
        weights = parse_task_weights(settings.task_weights, [task.name for task in tasks])
        truth, balances = self.array(samples), tuple[Tensor, ...]()
        if settings.class_balance == "weights":
            balances = tuple(_balance(task, truth[:, at]).to(device) for at, task in enumerate(tasks))
        return TaskObjective(
            label_smoothing=settings.label_smoothing,
            slices=tuple(own for _, own in task_slices(tasks)),
            weights=() if weights == LEARNED else weights,
            log_variances=nn.Parameter(torch.zeros(len(tasks), device=device)) if weights == LEARNED else None,
            task_class_weights=balances,
        )

    def answers(
        self, samples: Sequence[Sample], logits: NDArray[np.float32], groups: Mapping[str, str] | None = None
    ) -> TaskAnswers:
        """The answers, and those of each task that has a label here."""
        truth, parts = self.array(samples), {}
        for at, (task, own) in enumerate(task_slices(self.card.tasks)):
            known = np.flatnonzero(truth[:, at] != MISSING)
            if len(known):
                there = tuple(samples[place] for place in known.tolist())
                parts[task.name] = SplitAnswers(there, logits[known, own], truth[known, at], groups or {})
        return TaskAnswers(tuple(samples), logits, parts)

    def choose_criterion(
        self,
        asked: BestBy,
        training: Sequence[Sample],  # noqa: ARG002
        validation: Sequence[Sample],  # noqa: ARG002
    ) -> tuple[Criterion, str]:
        """The mean accuracy of the tasks, or the sum of their losses."""
        return ("loss" if asked == "loss" else "accuracy"), ""

    def calibrate(self, answers: Mapping[str, Answers]) -> tuple[ModelCard, Mapping[str, Measured]]:
        """The card with a temperature for each task, 1 for one without a label in validation."""
        given = {name: found for name, found in answers.items() if isinstance(found, TaskAnswers)}
        val = given["val"].parts
        tasks = tuple(
            replace(task, temperature=val[task.name].fit_temperature() if task.name in val else 1.0)
            for task in self.card.tasks
        )
        metrics = {name: measure_parts(tasks, found, cross_fit=name == "val") for name, found in given.items()}
        figures = {name: found.on_card() for name, found in metrics.items()}
        return replace(self.card, tasks=tasks, metrics=figures), metrics


def measure_parts(tasks: Sequence[Task], answers: TaskAnswers, *, cross_fit: bool) -> TaskMetrics:
    """The figures of each task at its temperature; with `cross_fit` calibration is judged as that of one label is."""
    found = {}
    for task in tasks:
        part = answers.parts.get(task.name)
        judged = part.cross_fitted() if part is not None and cross_fit else None
        found[task.name] = None if part is None else part.measure(task.labels, task.temperature, judged=judged)
    return TaskMetrics(len(answers.samples), found)


def _balance(task: Task, truth: NDArray[np.int64]) -> Tensor:
    return balance(np.bincount(truth[truth != MISSING], minlength=len(task.labels)))
