"""Temperature scaling: probabilities that mean what they say (Guo et al. 2017, section 4.2)."""

from __future__ import annotations

import torch
from torch import nn

COLDEST, HOTTEST = 0.05, 20.0


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The temperature T that minimises the negative log-likelihood of softmax(logits / T).

    `logits` is float `[N, classes]`, `labels` int64 `[N]`, both of the validation split. Targets are smoothed
    by 1/(N + 2), as Platt (1999, section 2.2) does: without it a split that is all right would send T to
    zero and every probability to one, which N images cannot vouch for. The loss is convex in 1/T, so a
    golden-section search over log T finds the one minimum, within 0.05..20. Top-1 never changes.
    """
    logits, labels = logits.double(), labels.long()
    classes = logits.shape[1]
    # torch's smoothing spreads over all classes, the true one included.
    smoothing = 1 / (len(labels) + 2) * classes / max(1, classes - 1)

    def loss(log_temperature: float) -> float:
        scaled = logits / torch.tensor(log_temperature).exp()
        return float(nn.functional.cross_entropy(scaled, labels, label_smoothing=min(1.0, smoothing)))

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
