"""How much too good the accuracy of the best epoch is, on the images that chose it.

The best of many epochs is partly the luckiest. By how much is told by choosing again: on a resample of the images, and
looking at those that were not drawn (the leave-one-out bootstrap, Efron and Tibshirani 1997; the bias is that of
Tibshirani and Tibshirani 2009). The epochs' answers are all it takes, so no network is trained or run again. Groups are
drawn whole: what was not drawn must have had no part in the choice, nor its like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edge_train.run.split_answers import SplitAnswers
from edge_train.settings import Criterion

RESAMPLES, FEWEST_RESAMPLES = 200, 25
# Ranking anew what a resample drew takes the most; so many scores are ranked in some seconds.
RANKED = 200_000_000
# So many scores of all epochs are kept, 32 MB of last.pt, which each epoch writes: what the fewest resamples may rank.
MOST_SCORES = RANKED // FEWEST_RESAMPLES
# Stands for a loss that is none, above the sum of all that are.
NO_NUMBER = 1e60


@dataclass(frozen=True, slots=True, eq=False)
class EpochAnswers:
    """Per validation image of one epoch: whether it was right, bool `[N]`, and its loss in nats, float32 `[N]`.

    Where the network answered no numbers it was not right, and its loss is no number, as when the epoch was ranked.
    `scores` are the probabilities, float32 `[N, classes]`, where the epochs are chosen by their ranking; `logits`,
    float32 `[N, classes]`, are kept of a fold, which may have to answer with another epoch than its own best.
    """

    right: NDArray[np.bool_]
    loss: NDArray[np.float32]
    scores: NDArray[np.float32] | None = None
    logits: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, answers: SplitAnswers, criterion: Criterion, *, epochs: int = 1, whole: bool = False) -> EpochAnswers:
        """Those of one of `epochs` epochs' answers to the validation images.

        With their logits where `whole`, else with their scores where it takes them to choose, and few enough to keep.
        """
        probabilities = answers.probabilities(1.0)
        scored = criterion == "auroc" and not whole and epochs * probabilities.size <= MOST_SCORES
        return cls(
            answers.right,
            answers.losses,
            probabilities if scored else None,
            answers.logits if whole else None,
        )


def to_tensors(epochs: Sequence[EpochAnswers]) -> dict[str, torch.Tensor]:
    """The answers of all epochs as last.pt keeps them; what one of them lacks is kept of none."""
    stacked: dict[str, Any] = {name: [getattr(each, name) for each in epochs] for name in EpochAnswers.__slots__}
    return {
        name: torch.from_numpy(np.stack(rows)) for name, rows in stacked.items() if all(row is not None for row in rows)
    }


def from_tensors(kept: Mapping[str, torch.Tensor]) -> list[EpochAnswers]:
    """What `to_tensors` was given. Raises KeyError where something is missing."""
    none = [None] * len(kept["right"])
    some = (kept[name].numpy() if name in kept else none for name in ("scores", "logits"))
    rows = zip(kept["right"].numpy(), kept["loss"].numpy(), *some, strict=True)
    return [EpochAnswers(*each) for each in rows]


@dataclass(frozen=True, slots=True)
class Optimism:
    """By how many `points` the accuracy of the best of `epochs` on the `images` that chose it is too good.

    `what` says what there were so many of, where it was no epochs.
    """

    points: float
    epochs: int
    images: int
    what: str = "epochs"

    def __str__(self) -> str:
        much = f"about {self.points:.1f}" if self.points >= 0.05 else "less than 0.1"
        return (
            f"the accuracy of the best of {self.epochs} {self.what} on the {self.images} images that chose it is "
            f"{much} points too good"
        )

    def to_json(self) -> dict[str, Any]:
        """As summary.json has it."""
        return {"points": self.points, "epochs": self.epochs, "images": self.images, "text": str(self)}


def estimate_optimism(
    epochs: Sequence[EpochAnswers],
    labels: NDArray[np.int64],
    criterion: Criterion,
    *,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> Optimism | None:
    """How much choosing among `epochs` by `criterion` flatters the accuracy of the one chosen, at least 0.

    `labels` are the true classes, int64 `[N]`, `groups` the name of each image's group, None where all stand alone.
    None where there was nothing to choose, all images are of one group, or there is too much to resample.
    """
    images = len(labels)
    names, place = np.unique(np.arange(images) if groups is None else np.array(groups), return_inverse=True)
    units = len(names)
    if len(epochs) < 2 or units < 2:
        return None
    if criterion == "auroc" and any(each.scores is None for each in epochs):
        return None
    choice = _Choice.among(epochs, labels, criterion)
    resamples = RESAMPLES
    if choice.scores is not None:
        resamples = max(FEWEST_RESAMPLES, min(RESAMPLES, RANKED // choice.scores.size))
    draws = np.random.default_rng(seed)
    whole = choice.best(np.ones((1, images)))[0]
    hits, left_out = np.zeros(images), np.zeros(images)
    for _ in range(0, resamples, FEWEST_RESAMPLES):
        drawn = draws.multinomial(units, np.full(units, 1 / units), size=FEWEST_RESAMPLES).astype(np.float64)[:, place]
        out = drawn == 0
        hits += (choice.right[choice.best(drawn)] & out).sum(axis=0)
        left_out += out.sum(axis=0)
    seen = left_out > 0
    gap = choice.right[whole][seen].mean() - (hits[seen] / left_out[seen]).mean()
    return Optimism(max(0.0, 100 * float(gap)), len(epochs), images)


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    """What an epoch is chosen by: `right`, `loss` and, for AUROC, `scores` of all epochs, `[epochs, N, …]`."""

    criterion: Criterion
    labels: NDArray[np.int64]
    right: NDArray[np.bool_]
    loss: NDArray[np.float64]
    scores: NDArray[np.float32] | None

    @classmethod
    def among(cls, epochs: Sequence[EpochAnswers], labels: NDArray[np.int64], criterion: Criterion) -> _Choice:
        """The choice among these epochs."""
        loss = np.stack([each.loss for each in epochs])
        scores = [each.scores for each in epochs if each.scores is not None]
        return cls(
            criterion,
            labels,
            np.stack([each.right for each in epochs]),
            np.where(np.isfinite(loss), loss.astype(np.float64), NO_NUMBER),
            np.stack(scores) if criterion == "auroc" else None,
        )

    def best(self, drawn: NDArray[np.float64]) -> NDArray[np.int64]:
        """The best epoch, `[B]`, of each resample in `drawn`, `[B, N]`: how often each image was drawn."""
        losses = drawn @ self.loss.T
        if self.criterion != "loss":
            # An epoch with a loss that is no number is the worst, as it was when it was chosen.
            values = np.where(losses >= NO_NUMBER, -np.inf, self._values(drawn))
            losses[values < values.max(axis=1, keepdims=True)] = np.inf
        chosen: NDArray[np.int64] = losses.argmin(axis=1)
        return chosen

    def _values(self, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.criterion == "accuracy":
            return drawn @ self.right.T.astype(np.float64)
        if self.criterion == "balanced-accuracy":
            return _balanced(drawn, self.right, self.labels)
        assert self.scores is not None, "AUROC is of scores"
        return np.stack([_auroc(drawn, self.labels, each) for each in self.scores], axis=1)


def _balanced(drawn: NDArray[np.float64], right: NDArray[np.bool_], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Balanced accuracies `[B, epochs]` of the classes that were drawn."""
    total, classes = np.zeros((len(drawn), len(right))), np.zeros((len(drawn), 1))
    for label in np.unique(labels):
        mine = labels == label
        support = drawn[:, mine].sum(axis=1, keepdims=True)
        total += drawn[:, mine] @ right[:, mine].T.astype(np.float64) / np.maximum(support, 1)
        classes += support > 0
    return total / classes


def _auroc(drawn: NDArray[np.float64], labels: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mean one-against-rest AUROC of each resample, `[B]`; 0 where only one class was drawn."""
    total, classes = np.zeros(len(drawn)), np.zeros(len(drawn))
    for label in np.unique(labels):
        order = np.argsort(-scores[:, label], kind="stable")
        starts = np.flatnonzero(np.diff(scores[order, label], prepend=np.float32(2)))
        weights, positive = drawn[:, order], labels[order] == label
        hits, misses = (np.add.reduceat(weights * each, starts, axis=1) for each in (positive, ~positive))
        below = misses.sum(axis=1, keepdims=True) - misses.cumsum(axis=1)
        pairs = hits.sum(axis=1) * misses.sum(axis=1)
        total += (hits * (below + misses / 2)).sum(axis=1) / np.maximum(pairs, 1)
        classes += pairs > 0
    return total / np.maximum(classes, 1)
