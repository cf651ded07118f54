"""benchmarks/self_checks/int8_accuracy.py: its arithmetic and its verdict, on answers whose figures are known."""

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
    yield import_module
    for name in ("int8_accuracy", "trained_runs", "shared"):
        sys.modules.pop(name, None)


def test_the_interval_is_that_of_the_images_that_changed(script: Any) -> None:
    runs = script("trained_runs")
    before, after = np.ones(1000, bool), np.ones(1000, bool)
    before[:10], after[10:30] = False, False
    difference, low, high = runs.paired(before, after)
    assert difference == pytest.approx(-0.010)
    # Agresti (2013), 11.1.1, with 10 and 20 discordant pairs of 1,000: sqrt(30 - 100 / 1000) / 1000.
    half = 1.959964 * (30 - 0.1) ** 0.5 / 1000
    assert (low, high) == (pytest.approx(-0.010 - half), pytest.approx(-0.010 + half))
    assert runs.points(difference, low, high) == "-1.0 (-2.1 to +0.1)"
    assert runs.paired(before, before) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("int8", "holds"),
    [
        ({"difference": -0.003}, True),
        ({"difference": -0.0031}, False),
        ({"difference": 0.01}, True),
        ({"refused": "int8 loses 4.0 points at best"}, False),
    ],
)
def test_the_target_is_of_int8_with_its_budget(script: Any, int8: dict[str, Any], holds: bool) -> None:
    accuracy = script("int8_accuracy")
    lost = accuracy.Lowered("no budget", "int8", "minmax", (), 2.0, -0.05, -0.06, -0.04)
    told = {"difference": 0.0, "refused": "", **int8}
    kept = accuracy.Lowered("int8", "int8", "minmax", ("features.0",), 2.5, low=-0.01, high=0.01, **told)
    row = accuracy.Row("resnet18", "scratch", 0.9, 10.0, 2000, (lost, kept))
    assert row.holds is holds
    shown = dict(zip(accuracy.COLUMNS, accuracy.cells(row), strict=True))
    assert (shown["int8, no budget"], shown["n"]) == ("-5.0 (-6.0 to -4.0)", "2000")
    assert shown["auto"] == "–"
    assert (shown["int8"], shown["float layers"]) == (
        ("refused", "–") if told["refused"] else (accuracy.points(told["difference"], -0.01, 0.01), "1")
    )
