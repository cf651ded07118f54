"""Learning-rate schedules: what every group's own rate is multiplied by, step by step.

A schedule is a function of the step alone (plateau: and of the validation losses so far), so that a resumed
run goes on exactly where it stopped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from edge_train.settings import ScheduleName

STEP_AT = (0.5, 0.75)
STEP_FACTOR = 0.1
PLATEAU_PATIENCE = 2
PLATEAU_FACTOR = 0.1
ONE_CYCLE_RISE = 0.3
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1e-4


@dataclass(slots=True)
class Schedule:
    """The factor at each step of a run of `total_steps`; the first `warmup_steps` rise linearly to it.

    constant: 1. step: times 0.1 at half and at three quarters (He et al. 2016, section 4.2). cosine: half a
    cosine from 1 to 0 (Loshchilov and Hutter 2017). one-cycle: a cosine from 1/25 up to 1 over the first
    30 %, then down to 1e-4 (Smith and Topin 2018, as in torch's OneCycleLR). plateau: times 0.1 whenever the
    validation loss has not fallen for 2 epochs.
    """

    name: ScheduleName
    total_steps: int
    warmup_steps: int = 0
    plateau: float = 1.0
    lowest_loss: float = math.inf
    stale_epochs: int = 0

    def factor(self, step: int) -> float:
        """The factor at `step`, counted from 0."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1) * self._base(0.0)
        rest = max(1, self.total_steps - self.warmup_steps)
        return self._base(min(1.0, (step - self.warmup_steps) / rest))

    def apply(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Set the rate of each of the optimiser's groups to its own `rate` times the factor at `step`."""
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * self.factor(step)

    def end_epoch(self, val_loss: float) -> None:
        """Take note of an epoch's validation loss; only plateau heeds it."""
        if self.name != "plateau":
            return
        if val_loss < self.lowest_loss:
            self.lowest_loss, self.stale_epochs = val_loss, 0
            return
        self.stale_epochs += 1
        if self.stale_epochs > PLATEAU_PATIENCE:
            self.plateau *= PLATEAU_FACTOR
            self.stale_epochs = 0

    def _base(self, progress: float) -> float:
        match self.name:
            case "constant":
                return 1.0
            case "step":
                return STEP_FACTOR ** sum(progress >= at for at in STEP_AT)
            case "plateau":
                return self.plateau
            case "cosine":
                return _cosine(1.0, 0.0, progress)
            case "one-cycle":
                if progress < ONE_CYCLE_RISE:
                    return _cosine(ONE_CYCLE_START, 1.0, progress / ONE_CYCLE_RISE)
                return _cosine(1.0, ONE_CYCLE_END, (progress - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE))


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
