"""What the loss does while the learning rate grows, and which rate that speaks for (Smith 2017)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A step's loss is one batch's: its neighbours within a sixth of a decade say what it would be on average.
SMOOTHING_STEPS = 3.0
# Away from both ends the smoothed slope is of as many steps as elsewhere.
MARGIN_STEPS = 3
# The steepest descent is looked for where the loss has still this share of its whole descent to go, at least.
STILL_TO_GO = 0.1
# One that falls by less than this many nats over the whole sweep does not fall.
LEAST_DESCENT = 0.02


@dataclass(frozen=True, eq=False)
class RateCurve:
    """The loss in nats of each step of a sweep, by what all rates were multiplied with in it.

    `rates` are the rates at scale 1 by the group that learns: stages, head. `diverged` says whether the sweep ended
    since the loss had grown beyond what it began with.
    """

    scales: tuple[float, ...]
    losses: tuple[float, ...]
    rates: Mapping[str, float]
    diverged: bool

    @cached_property
    def smoothed(self) -> NDArray[np.float64]:
        """The losses, each the mean of its neighbours under a Gaussian, on both sides so that none lags behind."""
        places = np.arange(len(self.losses))
        weights = np.exp(-0.5 * ((places[:, np.newaxis] - places) / SMOOTHING_STEPS) ** 2)
        smooth: NDArray[np.float64] = weights @ np.asarray(self.losses) / weights.sum(axis=1)
        return smooth

    @property
    def suggestion(self) -> float | None:
        """The scale of the steepest descent, to two digits; None where the loss does not fall.

        That is where the smoothed loss falls fastest over the logarithm of the rate, before its lowest point: at the
        lowest point itself the rate is already about to be too high.
        """
        smooth = self.smoothed
        lowest = int(smooth.argmin())
        highest = float(smooth[: lowest + 1].max())
        descent = highest - float(smooth[lowest])
        if descent < LEAST_DESCENT:
            return None
        slope = np.gradient(smooth, np.log(self.scales))
        going = np.flatnonzero(smooth[: lowest + 1] > smooth[lowest] + STILL_TO_GO * descent)
        inside = going[(going >= MARGIN_STEPS) & (going < len(smooth) - MARGIN_STEPS)]
        if not len(inside):
            return None
        return float(f"{self.scales[int(inside[slope[inside].argmin()])]:.1e}")

    def rates_at(self, scale: float) -> dict[str, float]:
        """The rates by group at that scale."""
        return {name: rate * scale for name, rate in self.rates.items()}

    def to_json(self) -> dict[str, Any]:
        """The curve and what it suggests, as plain data; a loss that is no number is None."""
        found = self.suggestion
        return {
            "lr_scale": found,
            "rates": None if found is None else self.rates_at(found),
            "rates_at_scale_1": dict(self.rates),
            "method": "steepest descent of the smoothed loss over log(rate)",
            "diverged": self.diverged,
            "points": [
                {"lr_scale": scale, "loss": loss if math.isfinite(loss) else None, "smoothed_loss": float(smooth)}
                for scale, loss, smooth in zip(self.scales, self.losses, self.smoothed, strict=True)
            ],
        }
