"""Centres that stand for all training embeddings."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import numpy as np

from edge_export import count_centres, distances_to, find_centres


def clouds(seed: int, spread: float = 0.02) -> np.ndarray:
    """Two hundred embeddings of any length around five directions."""
    draw = np.random.default_rng(seed)
    directions = np.eye(5, 40).repeat(40, axis=0) + spread * draw.normal(size=(200, 40))
    return directions * draw.uniform(1, 9, (200, 1))


def test_known_directions_lie_near_and_others_far() -> None:
    centres = find_centres(clouds(0), 5)
    assert centres.shape == (5, 40) and centres.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, rtol=1e-6)
    # One for each direction, whatever the lengths are.
    assert sorted((centres @ np.eye(5, 40).T).argmax(axis=0)) == list(range(5))
    assert distances_to(centres, clouds(1)).max() < 0.2
    assert distances_to(centres, np.eye(40)[20:30]).min() > 0.8


def test_few_embeddings_are_their_own_centres() -> None:
    few = clouds(0)[:7]
    centres = find_centres(few, 64)
    assert len(centres) == 7 and distances_to(centres, few).max() == pytest.approx(0, abs=1e-6)


def test_copies_and_zeros_are_no_harm() -> None:
    assert np.isfinite(find_centres(np.ones((50, 8)), 4)).all()
    assert np.isfinite(find_centres(np.zeros((50, 8)), 4)).all()
    assert np.array_equal(find_centres(clouds(0), 9), find_centres(clouds(0), 9))


def test_many_classes_get_more() -> None:
    assert (count_centres(2), count_centres(100)) == (64, 200)
