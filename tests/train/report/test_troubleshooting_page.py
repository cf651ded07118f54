"""docs/troubleshooting.md has an entry for each finding of a run, and quotes it word for word."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from edge_runtime import Metrics
from edge_train.report.diagnosis import EpochFigures, Kind, diagnose

PAGE = (Path(__file__).parents[3] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
NAN = float("nan")


def metrics(confusion: list[list[int]], error: float = 0.02) -> Metrics:
    labels, none = ("empty", "fox"), (None, None)
    counts = np.array(confusion, dtype=np.int64)
    return Metrics(labels, counts, error, log_loss=0.1, brier=0.1, class_auroc=none, class_average_precision=none)


# Of each kind, epochs (training loss and accuracy, validation's) and what else tells it.
FOUND: dict[str, tuple[list[tuple[float, float, float, float]], dict[str, Any]]] = {
    "underfitting": ([(0.9, 0.55, 0.9, 0.55), (0.8, 0.61, 0.9, 0.6)], {}),
    "rate-too-high": ([(0.9, 0.5, 0.9, 0.5), (NAN, 0.5, NAN, 0.5)], {}),
    "rate-too-low": ([(1.099 - 0.007 * n, 0.4, 1.1, 0.4) for n in range(5)], {"counts": {"a": 9, "b": 9, "c": 9}}),
    "more-epochs": ([*[(0.5, 0.8, 0.412, 0.85)] * 4, (0.4, 0.88, 0.361, 0.88)], {}),
    "overfitting": ([(0.5, 0.8, 0.5, 0.75), (0.1, 0.99, 0.52, 0.78)], {}),
    "imbalance": ([], {"counts": {"empty": 900, "fox": 30}}),
    "never-predicted": ([], {"val": metrics([[54, 0], [6, 0]])}),
    "small-validation": ([], {"val": metrics([[4, 1], [1, 4]])}),
    "calibration": ([], {"val": metrics([[490, 10], [10, 490]], error=0.12)}),
}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_the_entry_of_a_finding_quotes_it(kind: str) -> None:
    rows, changed = FOUND[kind]
    history = tuple(EpochFigures(number, *row) for number, row in enumerate(rows, 1))
    settings = {"strategy": "feature-extraction", "epochs": 5, "counts": {"a": 9, "b": 9}, "val": None} | changed
    (found,) = (each for each in diagnose(history, **settings) if each.kind == kind)
    section = PAGE.partition(f"{{ #{kind} }}\n")[2].partition("\n### ")[0]
    assert f"```text\n{kind}: {found.text} Try {found.flag}\n```" in section
    assert found.flag.split()[0] in section
