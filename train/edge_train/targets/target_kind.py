"""What differs between runs whose pictures have one label, several, or one for each task; the loop is the same.

Of each kind of labels: the tensor that a picture's truth makes, the loss, what counts as right, the figures that epochs
are chosen by, and what is calibrated after the last one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from edge_runtime import ModelCard, Sample, true_places
from edge_train.settings import BestBy, Criterion, TrainSettings
from edge_train.strategy.loss import Distillation, Objective


@dataclass(frozen=True, slots=True)
class Validated:
    """The figures of an epoch on validation: mean loss in nats, accuracy in 0..1, and those that not every run has.

    `more` are further figures by their column in metrics.csv.
    """

    loss: float
    accuracy: float
    balanced_accuracy: float | None = None
    auroc: float | None = None
    more: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Answers(ABC):
    """What a network answers to `samples`: logits float32 `[N, classes]`, a row for each, in their order."""

    samples: tuple[Sample, ...]
    logits: NDArray[np.float32]

    @abstractmethod
    def validated(self, criterion: Criterion) -> Validated:
        """The figures of an epoch whose answers to validation these are, with the one that epochs are chosen by."""


class Measured(Protocol):
    """All figures of merit on a split."""

    def on_card(self) -> dict[str, Any]:
        """What of it a model card carries."""

    def to_json(self) -> dict[str, Any]:
        """All of it."""


class TargetKind(ABC):
    """What the labels of a run whose card is `card` mean to its training."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        self.classes = len(card.labels)

    @abstractmethod
    def array(self, samples: Sequence[Sample]) -> NDArray[Any]:
        """The truth of `samples` as the loss takes it, a row for each."""

    @abstractmethod
    def objective(
        self,
        settings: TrainSettings,
        samples: Sequence[Sample],
        device: torch.device,
        distillation: Distillation | None = None,
    ) -> Objective:
        """The loss that `settings` ask for, of a run that learns from `samples`."""

    @abstractmethod
    def answers(
        self, samples: Sequence[Sample], logits: NDArray[np.float32], groups: Mapping[str, str] | None = None
    ) -> Answers:
        """The network's `logits` `[N, classes]` for `samples`, to be measured; `groups` names groups by path."""

    @abstractmethod
    def choose_criterion(
        self, asked: BestBy, training: Sequence[Sample], validation: Sequence[Sample]
    ) -> tuple[Criterion, str]:
        """What `asked` comes to for those images, and why where that is not what a person expects."""

    @abstractmethod
    def calibrate(self, answers: Mapping[str, Answers]) -> tuple[ModelCard, Mapping[str, Measured]]:
        """The card with what is fitted on the answers to "val", and the figures of all, which it has, too."""

    def count(self, samples: Sequence[Sample]) -> dict[str, int]:
        """How many of `samples` have each label, in the order of the labels; without those that none has."""
        kind, tasks = self.card.kind, self.card.tasks
        counts = Counter(place for sample in samples for place in true_places(sample, kind, tasks))
        return {self.card.labels[place]: n for place, n in sorted(counts.items())}


def balance(counts: NDArray[np.int64]) -> torch.Tensor:
    """Loss weights, float32 `[classes]`, inversely proportional to how many images each class has.

    They are 1 on average over the images.
    """
    weights = counts.sum() / (max(np.count_nonzero(counts), 1) * np.maximum(counts, 1))
    return torch.tensor(weights, dtype=torch.float32)
