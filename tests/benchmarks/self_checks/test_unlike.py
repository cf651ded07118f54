"""benchmarks/self_checks/unlike.py: its scores, on vectors whose answer is known."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import numpy as np

SCRIPTS = Path(__file__).parents[3] / "benchmarks" / "self_checks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    yield import_module("unlike")
    for name in ("unlike", "shared"):
        sys.modules.pop(name, None)


def test_mahalanobis_is_ledoit_and_wolfs_and_ranks_by_class_and_spread(script: Any) -> None:
    covariance = pytest.importorskip("sklearn.covariance")
    draw = np.random.default_rng(0)
    truth = np.arange(60) % 2
    rows = draw.normal(size=(60, 8)) * np.linspace(0.1, 3, 8) + 20 * truth[:, np.newaxis]
    apart = rows - np.stack([rows[truth == label].mean(axis=0) for label in (0, 1)])[truth]
    precision = covariance.LedoitWolf(assume_centered=True).fit(apart).precision_
    asked = np.stack([rows[0], rows[1] + 5, np.full(8, 10.0)])
    means = [rows[truth == label].mean(axis=0) for label in (0, 1)]
    expected = [min((each - mean) @ precision @ (each - mean) for mean in means) for each in asked]
    np.testing.assert_allclose(script.mahalanobis(rows, truth)(asked), expected, rtol=1e-6)


def test_every_method_ranks_the_obvious_and_the_table_says_so(script: Any) -> None:
    draw = np.random.default_rng(0)
    truth = np.arange(80) % 2

    def seen(n: int, places: tuple[int, int], sure: float) -> Any:
        rows = 0.1 * draw.normal(size=(n, 6)) + np.eye(6)[[places[each % 2] for each in range(n)]]
        return script.Seen(rows, sure * np.eye(2)[np.arange(n) % 2])

    case = script.Case("x", seen(80, (0, 1), 9.0), truth, seen(40, (0, 1), 9.0), seen(30, (3, 4), 1.0))
    table = {row[1]: row for row in script._rows(case)}
    for method in table.keys() - {"feature norm"}:
        assert (table[method][2], table[method][4]) == ("1.000", "0%"), method
    assert table["energy"][-2:] == ("40", "30")
    np.testing.assert_allclose(script.log_sum_exp(np.array([[800.0, 800.0]])), 800 + np.log(2))
