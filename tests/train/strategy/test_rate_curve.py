"""Which rate a curve of losses speaks for."""

from __future__ import annotations

import numpy as np
import pytest

from edge_train.strategy.rate_curve import RateCurve

SCALES = tuple(np.geomspace(1e-2, 1e3, 50).tolist())


def curve(losses: np.ndarray) -> RateCurve:
    return RateCurve(SCALES[: len(losses)], tuple(losses.tolist()), {"head": 1e-3}, diverged=False)


def falling_around(scale: float, noise: float = 0.0) -> np.ndarray:
    """From 1 to 0.2 nats, fastest at `scale`, and up again two decades further."""
    place = np.log10(np.array(SCALES) / scale)
    drawn = np.random.default_rng(0).normal(0, noise, len(SCALES))
    return 0.6 - 0.4 * np.tanh(3 * place) + np.exp(np.clip(6 * (place - 2), None, 3)) + drawn


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_steepest_descent_is_suggested(scale: float, noise: float) -> None:
    found = curve(falling_around(scale, noise)).suggestion
    assert found is not None
    assert scale / 1.8 < found < scale * 1.8
    assert found == float(f"{found:.1e}")


def test_what_does_not_fall_speaks_for_nothing() -> None:
    for losses in (np.full(50, 0.7), np.linspace(0.7, 2, 50), np.array([0.7]), np.array([0.7, 0.2])):
        assert curve(losses).suggestion is None


def test_a_smoothed_loss_does_not_lag_behind() -> None:
    straight = np.linspace(2, 1, 50)
    assert np.allclose(curve(straight).smoothed[10:40], straight[10:40], atol=1e-3)


def test_the_rates_are_those_of_the_groups() -> None:
    assert curve(falling_around(1)).rates_at(2.0) == {"head": 2e-3}
    value = curve(falling_around(1)).to_json()
    assert value["rates"] == {"head": 1e-3 * value["lr_scale"]} and len(value["points"]) == 50
