"""A strategy's row of a comparison, of a run that nobody trained."""

from __future__ import annotations

from pathlib import Path

from edge_runtime import Accuracy, Run
from edge_train import StrategyRow

__all__ = ["row"]


def row(strategy: str, right: int, n: int = 1000, trained: int = 1_000_000, test: float | None = None) -> StrategyRow:
    return StrategyRow(
        strategy=strategy,
        run=Run(Path(strategy)),
        train_accuracy=0.5,
        val_accuracy=right / n,
        val_n=n,
        val_interval=Accuracy(right, n).interval,
        test_accuracy=test,
        test_n=None if test is None else n,
        test_interval=None if test is None else (max(0, test - 0.1), min(1, test + 0.1)),
        seconds=10.0,
        parameters_trained=trained,
        parameters=1_000_000,
        parameters_share=trained / 1_000_000,
        best_epoch=1,
    )
