"""What a new checkpoint scores, a line per split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def print_scores(summary: Mapping[str, Any]) -> None:
    """Print the metrics of a run's summary."""
    for split, figures in summary["metrics"].items():
        low, high = figures["accuracy_interval_95"]
        print(
            f"{split} accuracy {figures['accuracy']:.1%} (n {figures['n']}, 95 % interval {low:.1%} to {high:.1%}), "
            f"calibration error {figures['expected_calibration_error']:.3f}"
        )
