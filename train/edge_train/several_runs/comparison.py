"""The strategies of transfer learning side by side: what each came to, and which to export."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_runtime import Run
from edge_train.run.criterion import written
from edge_train.settings import Criterion, Strategy
from edge_train.several_runs.paired_answers import Disagreement

# So little accuracy is not worth training many times the parameters for: they take time and can overfit.
HALF_POINT: Final = 0.005

Figure: TypeAlias = Literal["accuracy", "map", "mean_accuracy", "exact_match"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRow:
    """One strategy of a comparison; accuracies and intervals in 0..1, all but `strategy` None where untrained.

    `train_accuracy` is that of the best epoch, over its augmented images, taken while the weights still moved: it
    may lie below validation accuracy. `val_interval` and `test_interval` are 95 % Wilson intervals; the test ones
    are None where the data has no test split. `seconds` is the whole run, from reading the images to the report.
    `best_by` is what epochs and strategies are chosen by, and `val_value` that figure, a loss with its sign turned.
    `parameters_share` is `parameters_trained` / `parameters`. `reason` says why a strategy was not trained, or not
    to the end. `figure` is what stands for accuracy where a picture may have several labels: the mAP, or the mean
    accuracy of the tasks, both without intervals.
    """

    strategy: Strategy
    run: Run | None = None
    train_accuracy: float | None = None
    val_accuracy: float | None = None
    val_n: int | None = None
    val_interval: tuple[float, float] | None = None
    test_accuracy: float | None = None
    test_n: int | None = None
    test_interval: tuple[float, float] | None = None
    seconds: float | None = None
    parameters_trained: int | None = None
    parameters: int | None = None
    parameters_share: float | None = None
    best_epoch: int | None = None
    best_by: Criterion = "accuracy"
    val_value: float | None = None
    reason: str | None = None
    figure: Figure = "accuracy"

    def to_json(self) -> dict[str, Any]:
        """The row as plain data, under the names of its fields; without `figure` where that is the accuracy."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        if self.figure == "accuracy":
            del plain["figure"]
        return plain | {"run": str(self.run.path) if self.run else None}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A finished comparison: its folder, a row per strategy, the one to export and the sentences that say why."""

    folder: Path
    rows: tuple[StrategyRow, ...]
    best: str
    why: str

    @property
    def best_run(self) -> Run:
        """The run to export."""
        return next(row.run for row in self.rows if row.strategy == self.best and row.run)

    def to_json(self) -> dict[str, Any]:
        """What comparison.json holds."""
        return {
            "folder": str(self.folder),
            "best": self.best,
            "best_run": str(self.best_run.path),
            "why": self.why,
            "strategies": [row.to_json() for row in self.rows],
        }


def choose_best(
    rows: Iterable[StrategyRow], right: Mapping[Strategy, NDArray[np.bool_]] | None = None
) -> tuple[Strategy, str]:
    """The strategy to export and why: the highest validation accuracy, by which test accuracy stays unspent.

    Where the epochs were chosen by another figure, the strategy is, too, and chance has no say. `right` says of each
    strategy which of the same validation images, bool `[N]`, it has right: McNemar's exact test then tells whether a
    lead may be chance. Without it 95 % intervals that overlap are taken for that. Of those whose distance from the
    highest may be chance and is half a point at most, the one that trained the fewest parameters is taken.

    Raises:
        ValueError: no row is of a trained strategy.
    """
    ranked = sorted((row for row in rows if row.run), key=lambda row: -_val(row))
    if not ranked:
        raise ValueError("no strategy was trained")
    if ranked[0].best_by != "accuracy" or ranked[0].figure != "accuracy":
        return _choose_by_another(ranked)
    top = ranked[0]
    text = f"{top.strategy} has {_percent(_val(top))} of {top.val_n:,} validation images right"
    unspent = " Test accuracy had no part in the choice." if top.test_accuracy is not None else ""
    if len(ranked) == 1:
        return top.strategy, f"{text}; no other strategy was trained."
    pairs = {
        row.strategy: Disagreement.of(right[top.strategy], right[row.strategy])
        for row in ranked[1:]
        if right is not None and {top.strategy, row.strategy} <= right.keys()
    }
    alike = [row for row in ranked[1:] if _may_be_chance(top, row, pairs.get(row.strategy))]
    if not alike:
        return top.strategy, f"{text}, {_lead(top, ranked[1])}, {_no_chance(pairs.get(ranked[1].strategy))}.{unspent}"
    leads = " and ".join(_lead(top, row) for row in alike)
    text = f"{text}, {leads}. {_chance(top, [pairs.get(row.strategy) for row in alike])}"
    close = [top, *(row for row in alike if _val(top) - _val(row) <= HALF_POINT + 1e-9)]
    best = min(close, key=lambda row: (row.parameters_trained, -_val(row), row.strategy == "scratch"))
    return best.strategy, f"{text} {_why_of_close(best, close)}{unspent}"


def _may_be_chance(top: StrategyRow, row: StrategyRow, pair: Disagreement | None) -> bool:
    return _interval(row)[1] >= _interval(top)[0] if pair is None else not pair.tells


def _no_chance(pair: Disagreement | None) -> str:
    if pair is None:
        return "and the 95 % intervals do not overlap"
    return f"which is hardly chance ({pair})"


def _chance(top: StrategyRow, pairs: Sequence[Disagreement | None]) -> str:
    """What is to be said of leads that may be chance."""
    known = [pair for pair in pairs if pair is not None]
    if len(known) < len(pairs):
        return "The 95 % intervals overlap: that may be chance."
    needed = [number for pair in known if (number := pair.images_needed)]
    enough = f"; about {' and '.join(f'{number:,}' for number in needed)} would" if needed else ""
    told = "; ".join(dict.fromkeys(map(str, known)))
    return f"That may be chance: {top.val_n:,} images do not tell them apart ({told}{enough})."


def _choose_by_another(rows: Sequence[StrategyRow]) -> tuple[Strategy, str]:
    """By the figure that the epochs were chosen by; of equals the one that trained the fewest parameters."""
    criterion = rows[0].best_by
    best = min(rows, key=lambda row: (-_value(row), row.parameters_trained))
    sign = -1 if criterion == "loss" else 1
    shown = {row.strategy: written(criterion, sign * _value(row)) for row in rows if row.val_value is not None}
    others = ", ".join(f"{strategy} {text}" for strategy, text in shown.items() if strategy != best.strategy)
    against = f" ({others})" if others else "; no other strategy was trained"
    unspent = " Test accuracy had no part in the choice." if best.test_accuracy is not None else ""
    return best.strategy, f"{best.strategy} has the best validation {shown.get(best.strategy, '–')}{against}.{unspent}"


def _value(row: StrategyRow) -> float:
    return -math.inf if row.val_value is None else row.val_value


def _why_of_close(best: StrategyRow, close: Sequence[StrategyRow]) -> str:
    others = [row for row in close if row is not best]
    if not others:
        return "The highest validation accuracy decides."
    fewest = min(row.parameters_trained or 0 for row in others)
    if best.parameters_trained != fewest:
        return (
            f"Of those within half a point, {best.strategy} is taken: it trained the fewest parameters, "
            f"{best.parameters_trained:,} instead of {fewest:,}."
        )
    if any(_val(row) == _val(best) for row in others):
        return f"Of those that are level, {best.strategy} is taken, because it starts from pretrained weights."
    return "They trained equally many parameters, so the highest validation accuracy decides."


def _lead(top: StrategyRow, row: StrategyRow) -> str:
    points = 100 * (_val(top) - _val(row))
    return (
        f"{points:.{1 if points >= 0.05 else 3}f} points ahead of {row.strategy}"
        if points
        else f"level with {row.strategy}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _val(row: StrategyRow) -> float:
    assert row.val_accuracy is not None, f"{row.strategy} was not trained"
    return row.val_accuracy


def _interval(row: StrategyRow) -> tuple[float, float]:
    assert row.val_interval is not None, f"{row.strategy} was not trained"
    return row.val_interval
