"""What an evaluation found, as a person reads it: figures, a row per class, and the confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_cli.console import print_table
from edge_cli.split_scores import calibration_error, other_figures, print_classes
from edge_runtime import one_line

if TYPE_CHECKING:
    from edge_runtime import Metrics

WIDEST_CONFUSION = 20


def print_metrics(metrics: Metrics, split: str) -> None:
    """Print them; `split` says of which images, or of which task of theirs."""
    low, high = metrics.interval
    figures = metrics.to_json()
    print(
        f"{one_line(split)} accuracy {metrics.accuracy:.2%} ({metrics.correct} of {metrics.n}; "
        f"95 % interval {low:.1%} to {high:.1%}), {calibration_error(figures)}"
    )
    print(other_figures(figures))
    print_classes(figures)
    if len(metrics.labels) > WIDEST_CONFUSION:
        print(f"confusion matrix of {len(metrics.labels)} classes: --json has it")
        return
    print_table(
        ("true \\ predicted", *map(one_line, metrics.labels)),
        [
            (label, *(str(count) if count else "·" for count in row))
            for label, row in zip(metrics.labels, metrics.confusion.tolist(), strict=True)
        ],
    )
