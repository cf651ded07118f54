"""Pictures with any number of labels: a yes or no for each, binary cross-entropy, mean average precision."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from edge_runtime import ModelCard, MultiLabelMetrics, Sample, best_thresholds, label_matrix, measure_labels
from edge_train.settings import BestBy, Criterion, TrainSettings
from edge_train.strategy.calibration import cross_fit, minimise_over_temperature
from edge_train.strategy.loss import Distillation, Objective
from edge_train.targets.target_kind import Answers, Measured, TargetKind, Validated

# A label of one picture in a thousand would otherwise weigh a thousand times what its absence does.
MOST_WEIGHT = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class LabelObjective(Objective):
    """The mean binary cross-entropy over images and labels.

    `class_weights`, float32 `[classes]`, are what a label that is there weighs against one that is not; one that is
    there by half, of a blend, weighs half of each.
    """

    def weight(self, targets: Tensor) -> Tensor:
        """How many yes or no the summed loss of a batch is of, a scalar."""
        return torch.tensor(float(targets.numel()), device=targets.device)

    def __call__(
        self,
        logits: Tensor,
        targets: Tensor,
        *,
        weight: Tensor,
        images: int,  # noqa: ARG002 (of a teacher)
        teacher: Tensor | None = None,  # noqa: ARG002
    ) -> Tensor:
        """The part of a batch's mean loss that these answers make; `logits` and `targets` are `[n, classes]`."""
        smooth = targets * (1 - self.label_smoothing) + self.label_smoothing / 2
        # By the truth, not by what smoothing makes of it: else absence were asked for with the weight of presence.
        each = None if self.class_weights is None else 1 + targets * (self.class_weights - 1)
        return binary_cross_entropy_with_logits(logits, smooth, weight=each, reduction="sum") / weight

    def right(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The sum over the images of the share of their labels that a threshold of a half gets right, a scalar."""
        return ((logits > 0) == (targets > 0.5)).float().mean(dim=1).sum()


@dataclass(frozen=True, slots=True, eq=False)
class LabelAnswers(Answers):
    """The answers to pictures of which `truth`, bool `[N, classes]`, says which labels they have.

    `groups` names the group of an image by its path; one that it lacks stands alone.
    """

    truth: NDArray[np.bool_]
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """Mean binary cross-entropy over images and labels."""
        truth = torch.from_numpy(self.truth).float()
        return float(binary_cross_entropy_with_logits(torch.from_numpy(self.logits), truth))

    def validated(self, criterion: Criterion) -> Validated:  # noqa: ARG002 (mAP is always shown)
        """Loss, the share of yes or no that a threshold of a half gets right, and the mAP if an image has a label."""
        right = float((((self.logits > 0) == self.truth) & np.isfinite(self.logits)).mean())
        halves = [0.5] * self.truth.shape[1]
        found = measure_labels([""] * len(halves), halves, self.truth, self.probabilities(1.0))
        average = found.mean_average_precision
        return Validated(self.loss, right, more={} if average is None else {"val_map": average})

    def fit_temperature(self) -> float:
        """The temperature T that minimises the binary cross-entropy of sigmoid(logits / T).

        Targets are smoothed by 1/(N + 2), as Platt (1999, section 2.2) does, as for one label a picture.
        """
        logits = torch.from_numpy(self.logits).double()
        smoothing = 1 / (len(self.truth) + 2)
        targets = torch.from_numpy(self.truth).double() * (1 - 2 * smoothing) + smoothing
        return minimise_over_temperature(
            lambda log_temperature: float(
                binary_cross_entropy_with_logits(logits * math.exp(-log_temperature), targets)
            )
        )

    def probabilities(self, temperature: float | NDArray[np.float64]) -> NDArray[np.float32]:
        """sigmoid(logits / temperature), float32 `[N, classes]`; a logit that is no number counts as 0.

        The temperature may be one for each image, `[N, 1]`.
        """
        scaled = np.nan_to_num(self.logits.astype(np.float64), posinf=1e30, neginf=-1e30) / temperature
        # Without a power that overflows.
        return np.asarray(0.5 * (1 + np.tanh(scaled / 2)), dtype=np.float32)

    def cross_fitted(self) -> tuple[NDArray[np.float32], int]:
        """The probabilities at temperatures that were fitted without the image's own part, and how many parts."""
        groups = [self.groups.get(sample.path, sample.path) for sample in self.samples] if self.groups else None
        # Each part has as many of every set of labels.
        _, kinds = np.unique(self.truth, axis=0, return_inverse=True)

        def fit(some: Tensor) -> float:
            rest = some.numpy()
            return replace(self, logits=self.logits[rest], truth=self.truth[rest]).fit_temperature()

        temperatures, parts = cross_fit(fit, torch.from_numpy(kinds.reshape(-1)), groups)
        return self.probabilities(temperatures.numpy()[:, np.newaxis]), parts

    def measure(
        self, labels: Sequence[str], thresholds: Sequence[float], temperature: float, *, cross_fit: bool = False
    ) -> MultiLabelMetrics:
        """All figures of merit at that temperature and those thresholds.

        With `cross_fit`, for the very images that it was fitted on, those that judge the probabilities are
        cross-fitted, but of one group alone.
        """
        found = measure_labels(labels, thresholds, self.truth, self.probabilities(temperature))
        if not cross_fit:
            return found
        probabilities, parts = self.cross_fitted()
        if parts == 0:
            return replace(found, calibration_folds=0)
        judged = measure_labels(labels, thresholds, self.truth, probabilities)
        return replace(
            found,
            calibration_error=judged.calibration_error,
            log_loss=judged.log_loss,
            brier=judged.brier,
            calibration_folds=parts,
        )


class MultiLabel(TargetKind):
    """Each picture has any number of labels."""

    def array(self, samples: Sequence[Sample]) -> NDArray[Any]:
        """1 where a picture has a label, else 0; float32 `[N, classes]`."""
        return self._truth(samples).astype(np.float32)

    def objective(
        self,
        settings: TrainSettings,
        samples: Sequence[Sample],
        device: torch.device,
        distillation: Distillation | None = None,  # noqa: ARG002 (refused before)
    ) -> Objective:
        """Binary cross-entropy; with weights, what is there weighs as much as what is not, over all images."""
        weights = None
        if settings.class_balance == "weights":
            there = self._truth(samples).sum(axis=0)
            ratio = np.clip((len(samples) - there) / np.maximum(there, 1), 1 / MOST_WEIGHT, MOST_WEIGHT)
            weights = torch.tensor(ratio, dtype=torch.float32, device=device)
        return LabelObjective(label_smoothing=settings.label_smoothing, class_weights=weights)

    def answers(
        self,
        samples: Sequence[Sample],
        logits: NDArray[np.float32],
        groups: Mapping[str, str] | None = None,
    ) -> LabelAnswers:
        """The answers, with the labels that are there."""
        return LabelAnswers(tuple(samples), logits, self._truth(samples), groups or {})

    def choose_criterion(
        self,
        asked: BestBy,
        training: Sequence[Sample],  # noqa: ARG002
        validation: Sequence[Sample],
    ) -> tuple[Criterion, str]:
        """Mean average precision, or the loss where no validation picture has a label."""
        if asked == "loss":
            return "loss", ""
        if not any(sample.targets for sample in validation):
            return "loss", "note: no validation image has a label, so there is no mAP: the lowest loss is the best"
        return "map", ""

    def calibrate(self, answers: Mapping[str, Answers]) -> tuple[ModelCard, Mapping[str, Measured]]:
        """The card with one temperature for all labels, and for each the threshold of the best F1 on validation."""
        given = {name: found for name, found in answers.items() if isinstance(found, LabelAnswers)}
        temperature = given["val"].fit_temperature()
        thresholds = best_thresholds(given["val"].truth, given["val"].probabilities(temperature))
        metrics = {
            name: found.measure(self.card.labels, thresholds, temperature, cross_fit=name == "val")
            for name, found in given.items()
        }
        figures = {name: found.on_card() for name, found in metrics.items()}
        return replace(self.card, temperature=temperature, thresholds=thresholds, metrics=figures), metrics

    def _truth(self, samples: Sequence[Sample]) -> NDArray[np.bool_]:
        return label_matrix((sample.targets for sample in samples), self.classes)
