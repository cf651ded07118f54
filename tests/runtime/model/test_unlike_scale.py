"""The scale of known pictures' distances: what is refused by it, and at which cost."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime import ModelError, UnlikeScale, UsageError


def scale(n: int, seed: int = 0) -> UnlikeScale:
    return UnlikeScale.of(np.random.default_rng(seed).uniform(0, 1, n), centres=4, training_images=50)


@pytest.mark.parametrize("n", [19, 66, 200, 1234])
def test_no_more_than_the_share_asked_for_is_refused_of_new_known_pictures(n: int) -> None:
    """On average over what validation happens to be: a uniform distance lies beyond t with probability 1 - t."""
    scales = [scale(n, seed) for seed in range(120)]
    steps = min(n, 199) + 1
    for share in (0.05, 0.1, 0.31):
        refused = np.array([1 - each.threshold(share) for each in scales])
        promised = np.floor(share * steps + 1e-9) / steps
        noise = 4 * refused.std() / np.sqrt(len(scales))
        assert abs(refused.mean() - promised) < noise + 1 / n
        assert refused.mean() <= share + noise


def test_of_validations_own_pictures_the_share_beyond_is_told() -> None:
    hundred = UnlikeScale.of(np.arange(99) / 100, centres=4, training_images=50)
    threshold = hundred.threshold(0.05)
    assert threshold == pytest.approx(0.94, abs=2e-5) and hundred.beyond(threshold) == pytest.approx(4 / 99)
    assert threshold > 0.94, "the picture it was chosen by passes in whatever way it is computed"
    assert hundred.costs() == pytest.approx({0.01: 0, 0.02: 1 / 99, 0.05: 4 / 99, 0.1: 9 / 99})
    assert 0.01 not in scale(66).costs() and len(scale(1000).distances) == 199 and scale(1000).n == 1000


def test_unlikeness_and_threshold_say_the_same() -> None:
    for n in (7, 66, 500):
        known = scale(n)
        for share in (0.15, 0.3, 0.9):
            for distance in (*known.distances, -1.0, 0.5, 2.0):
                steps = len(known.distances) + 1
                refused = distance > known.threshold(share)
                assert refused == (known.unlikeness(distance) >= 1 - int(share * steps + 1e-9) / steps)
        assert known.unlikeness(-1) == 0 and known.unlikeness(9) < 1


@pytest.mark.parametrize("share", [0.0, 0.04, 1.0, -0.1])
def test_a_share_that_so_few_pictures_cannot_tell_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match=r"`reject_unlike` .*: 19 validation pictures tell shares from 0.0500 on"):
        scale(19).threshold(share)
    assert scale(19).threshold(0.05) == max(scale(19).distances)


def test_a_card_carries_it() -> None:
    known = scale(66)
    assert UnlikeScale.from_json(known.to_json(), where="x") == known
    assert UnlikeScale.from_json({**known.to_json(), "method": "of next year"}, where="x") is None


@pytest.mark.parametrize(
    "change",
    [
        {"distances": []},
        {"distances": [0.2, 0.1]},
        {"distances": ["0.1"]},
        {"distances": [True]},
        {"distances": None},
        {"n": 0},
        {"n": True},
        {"centres": "4"},
    ],
)
def test_a_malformed_one_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx: 'unlike' in its 'edge' metadata is malformed"):
        UnlikeScale.from_json({**scale(66).to_json(), **change}, where="model.onnx")
