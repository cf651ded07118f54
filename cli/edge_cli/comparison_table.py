"""The course's table: the strategies side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_cli.console import Console, print_json, print_table
from edge_cli.flags import said_as_flags

if TYPE_CHECKING:
    from edge_train import Comparison, StrategyRow

FIGURES = {"accuracy": "", "map": "mAP", "mean_accuracy": "mean accuracy", "exact_match": "all labels right"}
COLUMNS = ("strategy", "train", "validation", "test", "time", "parameters trained", "share")


def print_comparison(comparison: Comparison, console: Console, *, as_json: bool) -> int:
    """Print a comparison, as a table or as JSON, and say what is next; gives the exit code."""
    if as_json:
        rows = tuple(replace(row, reason=row.reason and said_as_flags(row.reason)) for row in comparison.rows)
        print_json(replace(comparison, rows=rows).to_json())
        return 0
    figure = next((FIGURES[row.figure] for row in comparison.rows if row.figure != "accuracy"), "")
    columns = tuple(f"{name} {figure}" if figure and name in ("validation", "test") else name for name in COLUMNS)
    print_table(columns, [_cells(row, best=row.strategy == comparison.best) for row in comparison.rows])
    for row in comparison.rows:
        if row.reason is not None:
            print(said_as_flags(f"{row.strategy} was not trained: {row.reason}"))
    print(f"best for export: {comparison.best}. {comparison.why}")
    names = ("comparison.png",) if figure else ("comparison.png", "predictions.png")
    print(f"pictures: {', '.join(str(comparison.folder / name) for name in names)}")
    console.say(f"next: edge export --run {comparison.best_run.path}")
    return 0


def _cells(row: StrategyRow, *, best: bool) -> tuple[str, ...]:
    name = f"{row.strategy}{' *' if best else ''}"
    if row.reason is not None:
        return (name, *("–" for _ in COLUMNS[1:]))
    return (
        name,
        _percent(row.train_accuracy),
        _percent(row.val_accuracy, row.val_n),
        _percent(row.test_accuracy, row.test_n),
        _duration(row.seconds),
        "–" if row.parameters_trained is None else f"{row.parameters_trained:,}",
        "–" if row.parameters_share is None else f"{row.parameters_share:.1%}",
    )


def _percent(accuracy: float | None, n: int | None = None) -> str:
    if accuracy is None:
        return "–"
    return f"{accuracy:.1%}" if n is None else f"{accuracy:.1%} (n {n:,})"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
