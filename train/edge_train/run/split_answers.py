"""What a network answers on a split, and every figure that is taken from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from edge_runtime import (
    Accuracy,
    Metrics,
    Sample,
    auroc,
    brier_score,
    expected_calibration_error,
    log_loss,
    measure,
)
from edge_train.network.device_memory import Portions
from edge_train.run.batches import Batch
from edge_train.run.processes import ALONE, World
from edge_train.settings import Criterion, Precision
from edge_train.strategy.calibration import cross_fitted_temperatures, fit_temperature
from edge_train.strategy.mixed_precision import autocast
from edge_train.targets.target_kind import Answers, Validated


@dataclass(frozen=True, slots=True, eq=False)
class SplitAnswers(Answers):
    """The answers to `samples`: logits float32 `[N, classes]`, and the true classes int64 `[N]`.

    `groups` names the group of an image by its path, as a split does; one that it lacks stands alone.
    """

    labels: NDArray[np.int64]
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def group_names(self) -> list[str] | None:
        """The name of each image's group, its path where it stands alone; None where all do."""
        return [self.groups.get(sample.path, sample.path) for sample in self.samples] if self.groups else None

    @property
    def is_one_group(self) -> bool:
        """Whether no part of the images can be judged by the others."""
        return len(set(self.group_names or [sample.path for sample in self.samples])) < 2

    @property
    def loss(self) -> float:
        """Mean cross-entropy."""
        return float(cross_entropy(torch.from_numpy(self.logits), torch.from_numpy(self.labels)))

    @property
    def losses(self) -> NDArray[np.float32]:
        """The cross-entropy of each image, float32 `[N]`; no finite number where the network answered none."""
        each = cross_entropy(torch.from_numpy(self.logits), torch.from_numpy(self.labels), reduction="none")
        return np.asarray(each.numpy())

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which images' highest logit is of their class, bool `[N]`; none that the network answered no number to."""
        return np.asarray((self.logits.argmax(axis=1) == self.labels) & np.isfinite(self.losses))

    @property
    def accuracy(self) -> Accuracy:
        """Top-1 accuracy."""
        return Accuracy(int(self.right.sum()), len(self.labels))

    @property
    def balanced_accuracy(self) -> float:
        """The mean accuracy of the classes that have images."""
        right = self.right
        return float(np.mean([right[self.labels == label].mean() for label in np.unique(self.labels)]))

    @property
    def auroc(self) -> float | None:
        """The mean AUROC of the classes, one against rest; None where all images are of one class."""
        scores = np.ascontiguousarray(self.probabilities(1.0).T)
        areas = [area for label, row in enumerate(scores) if (area := auroc(self.labels == label, row)) is not None]
        return sum(areas) / len(areas) if areas else None

    def validated(self, criterion: Criterion) -> Validated:
        """Loss, accuracy and balanced accuracy; AUROC where epochs are chosen by it, since it takes longest."""
        area = self.auroc if criterion == "auroc" else None
        return Validated(self.loss, self.accuracy.share, self.balanced_accuracy, area)

    def fit_temperature(self) -> float:
        """The temperature that makes these probabilities mean what they say."""
        return fit_temperature(torch.from_numpy(self.logits), torch.from_numpy(self.labels))

    def probabilities(self, temperature: float | NDArray[np.float64]) -> NDArray[np.float32]:
        """softmax(logits / temperature), float32 `[N, classes]`; a logit that is no number counts as 0.

        The temperature may be one for each image, `[N, 1]`.
        """
        scaled = np.nan_to_num(self.logits.astype(np.float64), posinf=1e30, neginf=-1e30) / temperature
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)

    def cross_fitted(self) -> tuple[NDArray[np.float32], int]:
        """The probabilities at temperatures that were fitted without the image's own part, and how many parts."""
        logits, labels = torch.from_numpy(self.logits), torch.from_numpy(self.labels)
        temperatures, parts = cross_fitted_temperatures(logits, labels, self.group_names)
        return self.probabilities(temperatures.numpy()[:, np.newaxis]), parts

    def measure(
        self, names: tuple[str, ...], temperature: float, *, judged: tuple[NDArray[np.float32], int] | None = None
    ) -> Metrics:
        """All figures of merit at that temperature; `names` are the classes'.

        Where it was fitted on these very images, those that judge the probabilities are to be of `judged`, which
        `cross_fitted` gives. One group alone has no others: of it they are at that temperature.
        """
        found = measure(names, self.labels, self.probabilities(temperature))
        if judged is None:
            return found
        probabilities, parts = judged
        if parts == 0:
            return replace(found, calibration_folds=0)
        return replace(
            found,
            calibration_error=expected_calibration_error(self.labels, probabilities),
            log_loss=log_loss(self.labels, probabilities),
            brier=brier_score(self.labels, probabilities),
            calibration_folds=parts,
        )


def answer_split(
    network: nn.Module,
    samples: Sequence[Sample],
    batches: Iterable[Batch],
    *,
    device: torch.device,
    precision: Precision = "fp32",
    world: World = ALONE,
    on_images: Callable[[int], object] = lambda _: None,
) -> SplitAnswers:
    """The network's answers to `samples` in evaluation mode; `batches` are this process's share of them, in order."""
    logits = answer_logits(network, batches, device=device, precision=precision, world=world, on_images=on_images)
    labels = np.array([sample.label for sample in samples], dtype=np.int64)
    return SplitAnswers(tuple(samples), logits, labels)


def answer_logits(
    network: nn.Module,
    batches: Iterable[Batch],
    *,
    device: torch.device,
    precision: Precision = "fp32",
    world: World = ALONE,
    on_images: Callable[[int], object] = lambda _: None,
    portions: Portions | None = None,
) -> NDArray[np.float32]:
    """The logits `[N, classes]` in evaluation mode of all processes' `batches`, put together in order.

    Where memory does not suffice for a batch it goes in smaller `portions`.
    """
    network.eval()
    portions = portions or Portions()
    logits = []

    def answer(images: Tensor) -> Tensor:
        given: Tensor = network(images.to(device))
        return given.float().cpu()

    with torch.inference_mode(), autocast(device, precision):
        for inputs, *_ in batches:
            logits.append(portions.answer(answer, inputs))
            on_images(len(inputs))
    return np.asarray(world.unshard(logits).numpy())
