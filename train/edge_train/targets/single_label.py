"""Pictures of one class each: cross-entropy, accuracy, one temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edge_runtime import Metrics, ModelCard, Sample
from edge_train.run.criterion import choose_criterion
from edge_train.run.split_answers import SplitAnswers
from edge_train.settings import BestBy, Criterion, TrainSettings
from edge_train.strategy.loss import Distillation, Objective
from edge_train.targets.target_kind import Answers, TargetKind, balance


class SingleLabel(TargetKind):
    """Each picture is of one class."""

    def array(self, samples: Sequence[Sample]) -> NDArray[Any]:
        """The classes, int64 `[N]`."""
        return np.array([sample.label for sample in samples], dtype=np.int64)

    def objective(
        self,
        settings: TrainSettings,
        samples: Sequence[Sample],
        device: torch.device,
        distillation: Distillation | None = None,
    ) -> Objective:
        """Cross-entropy, with what a teacher says where there is one."""
        balanced = settings.class_balance == "weights"
        weights = balance(np.bincount(self.array(samples), minlength=self.classes)) if balanced else None
        return Objective(
            label_smoothing=settings.label_smoothing,
            class_weights=None if weights is None else weights.to(device),
            distillation=distillation,
        )

    def answers(
        self, samples: Sequence[Sample], logits: NDArray[np.float32], groups: Mapping[str, str] | None = None
    ) -> SplitAnswers:
        """The answers, with the true classes."""
        return SplitAnswers(tuple(samples), logits, self.array(samples), groups or {})

    def choose_criterion(
        self, asked: BestBy, training: Sequence[Sample], validation: Sequence[Sample]
    ) -> tuple[Criterion, str]:
        """Accuracy, balanced where classes differ much in size, unless another is asked for."""
        return choose_criterion(asked, training, validation)

    def calibrate(self, answers: Mapping[str, Answers]) -> tuple[ModelCard, dict[str, Metrics]]:
        """The card with the temperature that validation comes to, and cross-fitted figures of calibration."""
        given = {name: found for name, found in answers.items() if isinstance(found, SplitAnswers)}
        temperature = given["val"].fit_temperature()
        metrics = {
            name: found.measure(self.card.labels, temperature, judged=found.cross_fitted() if name == "val" else None)
            for name, found in given.items()
        }
        figures = {name: found.on_card() for name, found in metrics.items()}
        return replace(self.card, temperature=temperature, metrics=figures), metrics
