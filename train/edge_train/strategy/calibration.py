"""Temperature scaling: probabilities that mean what they say (Guo et al. 2017, section 4.2)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch

COLDEST, HOTTEST = 0.05, 20.0
CROSS_FIT_PARTS = 5
# One number that a thousand images were fitted to hardly depends on which: from here on halves will do.
MANY_IMAGES = 2000


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The temperature T that minimises the negative log-likelihood of softmax(logits / T).

    `logits` is float `[N, classes]`, `labels` int64 `[N]`, both of the validation split. Targets are smoothed
    by 1/(N + 2), as Platt (1999, section 2.2) does: without it a split that is all right would send T to
    zero and every probability to one, which N images cannot vouch for. The loss is convex in 1/T, so a
    golden-section search over log T finds the one minimum, within 0.05..20. Top-1 never changes.
    """
    logits, labels = logits.double(), labels.long()
    classes = logits.shape[1]
    # Spread over all classes, the true one included.
    smoothing = min(1.0, 1 / (len(labels) + 2) * classes / max(1, classes - 1))
    # Of cross-entropy with smoothed targets only the sum of powers is no multiple of 1/T.
    logits = logits - logits.amax(dim=1, keepdim=True)
    of_truth = logits.gather(1, labels[:, None])[:, 0]
    targets = float(((1 - smoothing) * of_truth + smoothing * logits.mean(dim=1)).mean())
    powers = torch.empty_like(logits)

    def loss(log_temperature: float) -> float:
        scale = math.exp(-log_temperature)
        torch.mul(logits, scale, out=powers)
        return float(powers.exp_().sum(dim=1).log().mean()) - scale * targets

    return minimise_over_temperature(loss)


def minimise_over_temperature(loss: Callable[[float], float]) -> float:
    """The temperature within 0.05..20 of whose logarithm `loss`, which has one minimum there, is least."""
    golden = (5**0.5 - 1) / 2
    low, high = math.log(COLDEST), math.log(HOTTEST)
    left, right = high - golden * (high - low), low + golden * (high - low)
    left_loss, right_loss = loss(left), loss(right)
    while high - low > 1e-4:
        if left_loss <= right_loss:
            high, right, right_loss = right, left, left_loss
            left = high - golden * (high - low)
            left_loss = loss(left)
        else:
            low, left, left_loss = left, right, right_loss
            right = low + golden * (high - low)
            right_loss = loss(right)
    return math.exp((low + high) / 2)


def cross_fitted_temperatures(
    logits: torch.Tensor, labels: torch.Tensor, groups: Sequence[str] | None = None
) -> tuple[torch.Tensor, int]:
    """For each image the temperature that the others, without its part of the split, come to; and how many parts.

    `logits` is float `[N, classes]`, `labels` int64 `[N]`; the temperatures are float64 `[N]`. Probabilities at them
    say how calibrated a temperature fitted on so many images is on images it has not seen; at one temperature fitted
    on all they would look better than they are. The parts have every class alike and are the same at every call;
    images of one name in `groups` [N], where there are any, are in one part: a twin is as good as the image itself.
    One group alone has no others: its temperatures are 1, in 0 parts, and say nothing.
    """
    return cross_fit(lambda rest: fit_temperature(logits[rest], labels[rest]), labels, groups)


def cross_fit(
    fit: Callable[[torch.Tensor], float], kinds: torch.Tensor, groups: Sequence[str] | None = None
) -> tuple[torch.Tensor, int]:
    """The same of any answers: `fit` gives the temperature of some of them, bool `[N]`; the parts have `kinds` alike.

    `kinds` is int64 `[N]`.
    """
    temperatures = torch.ones(len(kinds), dtype=torch.float64)
    names = range(len(kinds)) if groups is None else groups
    most = CROSS_FIT_PARTS if len(kinds) < MANY_IMAGES else 2
    if (parts := min(most, len(set(names)))) < 2:
        return temperatures, 0
    part = _deal(kinds.long(), names, parts)
    for number in range(parts):
        mine = part == number
        temperatures[mine] = fit(~mine)
    return temperatures, parts


def _deal(labels: torch.Tensor, names: Sequence[object], parts: int) -> torch.Tensor:
    """The part of each image, int64 `[N]`: dealt out class by class, each in an order of chance, large groups first."""
    shuffled = torch.from_numpy(np.random.default_rng(0).permutation(len(labels)))
    groups: dict[object, list[int]] = {}
    for place in shuffled[torch.argsort(labels[shuffled], stable=True)].tolist():
        groups.setdefault(names[place], []).append(place)
    truth = labels.tolist()
    have: list[Counter[int]] = [Counter() for _ in range(parts)]
    full = [0] * parts
    part = torch.empty(len(labels), dtype=torch.int64)
    for places in sorted(groups.values(), key=len, reverse=True):
        size = Counter(truth[place] for place in places)
        # To where fewest of its classes are.
        shared = [sum(more * own[label] for label, more in size.items()) for own in have]
        number = min(range(parts), key=lambda number: (shared[number], full[number], number))
        have[number] += size
        full[number] += len(places)
        part[places] = number
    return part
