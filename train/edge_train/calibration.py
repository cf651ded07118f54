"""Temperature scaling: probabilities that mean what they say (Guo et al. 2017, section 4.2)."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["fit_temperature"]

COLDEST, HOTTEST = 0.05, 20.0


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The temperature T that minimises the negative log-likelihood of softmax(logits / T).

    `logits` is float `[N, classes]`, `labels` int64 `[N]`, both of the validation split. The loss is convex
    in 1/T, so a golden-section search over log T finds the one minimum. T is kept within 0.05..20, where
    a split that is all right or all wrong would send it to a limit; top-1 never changes.
    """
    logits, labels = logits.double(), labels.long()

    def loss(log_temperature: float) -> float:
        return float(nn.functional.cross_entropy(logits / torch.tensor(log_temperature).exp(), labels))

    golden = (5**0.5 - 1) / 2
    low, high = (float(torch.tensor(bound).log()) for bound in (COLDEST, HOTTEST))
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
    return float(torch.tensor((low + high) / 2).exp())
