"""What a cross-validation found: every image answered once, by a network that never saw it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edge_data import OUT_OF_FOLD
from edge_runtime import Accuracy, Metrics, Run, Sample, atomic_path, csv_line
from edge_train.run.epochs import FitState
from edge_train.run.split_answers import SplitAnswers


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One fold: its run, trained on the others, how that went, and the images it was held out of, with their groups."""

    number: int
    run: Run
    state: FitState
    held_out: tuple[Sample, ...]
    groups: Mapping[str, str] = field(default_factory=dict)

    def answers(self, epoch: int) -> SplitAnswers:
        """What the network answered on its held-out images after that epoch, or its last one where it ended before."""
        assert self.state.answers is not None, "a fold keeps its answers"
        logits = self.state.answers[min(epoch, self.state.epoch) - 1].logits
        assert logits is not None, "a fold keeps its logits"
        labels = np.array([sample.label for sample in self.held_out], np.int64)
        return SplitAnswers(self.held_out, logits, labels, self.groups)


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """The folds, in their order. Each answers with the epoch that the other folds choose.

    So no image has a say in the choice of what answers it: the median of the others' best epochs, as the network
    trained on everything is trained for the median of all.
    """

    folds: tuple[Fold, ...]

    @property
    def epochs(self) -> int:
        """How many epochs the network is trained on everything: the median of the folds' best."""
        return _median([fold.state.best_epoch for fold in self.folds])

    @cached_property
    def answered(self) -> tuple[tuple[int, SplitAnswers], ...]:
        """For each fold the epoch it answers with, and its answers."""
        chosen = []
        for fold in self.folds:
            others = [other.state.best_epoch for other in self.folds if other is not fold]
            epoch = min(_median(others), fold.state.epoch)
            chosen.append((epoch, fold.answers(epoch)))
        return tuple(chosen)

    @cached_property
    def pooled(self) -> SplitAnswers:
        """The answers to all images, fold after fold."""
        parts = [answers for _, answers in self.answered]
        return SplitAnswers(
            tuple(sample for part in parts for sample in part.samples),
            np.concatenate([part.logits for part in parts]),
            np.concatenate([part.labels for part in parts]),
            {path: name for part in parts for path, name in part.groups.items()},
        )

    @cached_property
    def temperature(self) -> float:
        """The temperature fitted on all answers: that of the network trained on everything."""
        return self.pooled.fit_temperature()

    @property
    def accuracies(self) -> tuple[Accuracy, ...]:
        """The accuracy of each fold on its held-out images."""
        return tuple(answers.accuracy for _, answers in self.answered)

    @property
    def mean_accuracy(self) -> float:
        """The mean of the folds' accuracies, 0..1; that of all images differs where folds differ in size."""
        return statistics.fmean(each.share for each in self.accuracies)

    @property
    def spread(self) -> float:
        """The standard deviation of the folds' accuracies."""
        return statistics.stdev(each.share for each in self.accuracies)

    def measure(self, labels: tuple[str, ...]) -> Metrics:
        """All figures of merit over all images; those that judge the temperature are cross-fitted."""
        return self.pooled.measure(labels, self.temperature, judged=self.pooled.cross_fitted())

    def on_card(self, found: Metrics) -> dict[str, Any]:
        """What the card of the network trained on everything carries of `found`, which `measure` gave."""
        return {
            **found.on_card(),
            "accuracy_interval_95": list(found.interval),
            "folds": len(self.folds),
            "mean_of_folds": self.mean_accuracy,
            "standard_deviation_of_folds": self.spread,
        }

    def to_json(self) -> dict[str, Any]:
        """What summary.json and folds.json hold: the mean, and a row per fold."""
        rows = zip(self.folds, self.answered, self.accuracies, strict=True)
        return {
            "folds": [
                {
                    "fold": fold.number,
                    "run": fold.run.name,
                    **accuracy.to_json(),
                    "loss": answers.loss if math.isfinite(answers.loss) else None,
                    "best_epoch": fold.state.best_epoch,
                    "epoch": epoch,
                }
                for fold, (epoch, answers), accuracy in rows
            ],
            "mean_accuracy": self.mean_accuracy,
            "standard_deviation": self.spread,
            "n": len(self.pooled.labels),
            "epochs": self.epochs,
            "answers": OUT_OF_FOLD,
        }

    def write_answers(self, path: Path, labels: Sequence[str]) -> None:
        """Write `path,label,fold,answer` and each class's calibrated probability, a row per image.

        Raises:
            OutputError: it cannot be written.
        """
        lines = [csv_line(["path", "label", "fold", "answer", *(f"p {label}" for label in labels)])]
        for fold, (_, answers) in zip(self.folds, self.answered, strict=True):
            given = answers.probabilities(self.temperature)
            for sample, row in zip(answers.samples, given, strict=True):
                answer = labels[int(row.argmax())]
                numbers = (f"{share:.6g}" for share in row.tolist())
                lines.append(csv_line([sample.path, labels[sample.label], str(fold.number), answer, *numbers]))
        # As in split.csv, names are raw: they name files that exist.
        with atomic_path(path) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8", errors="surrogateescape", newline="\n")


def _median(epochs: Sequence[int]) -> int:
    # Of two in the middle the later one: an epoch more costs less than one too few.
    return statistics.median_high(epochs)
