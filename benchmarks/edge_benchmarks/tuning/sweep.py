"""A finished sweep: a row per trial, the one to export, and the sentences that say why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_benchmarks.report.tables import milliseconds
from edge_benchmarks.tuning.search_space import Trial
from edge_runtime import EdgeError, Run

if TYPE_CHECKING:
    from edge_train import StrategyRow

# What stands for accuracy, in words.
FIGURE_NAMES = {
    "accuracy": "accuracy",
    "map": "mAP",
    "mean_accuracy": "mean accuracy",
    "exact_match": "all labels right",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One trial: what it was trained with, what its run came to, and what its network takes on the device.

    `figures` are those of its run, as a comparison of strategies has them, None where it failed, for the `reason`;
    `epochs` are those it had, all but for one that was `stopped`. `latency_ms` is the median inference of one picture,
    None where it is not known. Test figures are in the row of the recommended trial alone: the others' test images
    were not looked at.
    """

    trial: Trial
    figures: StrategyRow | None = None
    input_px: int | None = None
    epochs: int | None = None
    stopped: bool = False
    latency_ms: float | None = None
    reason: str | None = None

    @property
    def value(self) -> float:
        """What trials are chosen by, greater for the better."""
        value = self.figures.val_value if self.figures else None
        return -math.inf if value is None else value

    @property
    def accuracy(self) -> float:
        """Validation accuracy, or what stands for it, in 0..1; NaN where the trial failed."""
        value = self.figures.val_accuracy if self.figures else None
        return math.nan if value is None else value

    def to_json(self) -> dict[str, Any]:
        """The row as plain data."""
        return {
            "trial": self.trial.number,
            **self.trial.drawn,
            "input_px": self.input_px,
            "epochs": self.epochs,
            "stopped": self.stopped,
            "latency_ms": self.latency_ms,
            "reason": self.reason,
            **({} if self.figures is None else _figures(self.figures)),
        }


def _figures(figures: StrategyRow) -> dict[str, Any]:
    plain = figures.to_json()
    del plain["strategy"], plain["reason"]
    return plain


@dataclass(frozen=True, slots=True)
class Sweep:
    """A finished sweep: its folder, its trials, the best first, the one to export and why.

    `latency_from` says where latency was measured.
    """

    folder: Path
    rows: tuple[TrialRow, ...]
    best: TrialRow
    why: str
    latency_from: str

    @property
    def best_run(self) -> Run:
        """The run to export."""
        assert self.best.figures is not None and self.best.figures.run is not None
        return self.best.figures.run

    def to_json(self) -> dict[str, Any]:
        """What tune.json holds of it."""
        return {
            "folder": str(self.folder),
            "best": self.best.trial.number,
            "best_run": str(self.best_run.path),
            "why": self.why,
            "latency_from": self.latency_from,
            "trials": [row.to_json() for row in self.rows],
        }


def in_order(rows: Sequence[TrialRow]) -> tuple[TrialRow, ...]:
    """The rows, the best on validation first, of equals the faster; those that failed last."""
    return tuple(sorted(rows, key=lambda row: (row.figures is None, -row.value, _ms(row), row.trial.number)))


def front(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """The rows that no other beats without being slower, fastest first (the Pareto front)."""
    found: list[TrialRow] = []
    known = [row for row in rows if row.figures is not None and row.latency_ms is not None]
    for row in sorted(known, key=lambda row: (_ms(row), -row.accuracy)):
        if not found or row.accuracy > found[-1].accuracy:
            found.append(row)
    return found


def choose_trial(rows: Sequence[TrialRow], max_latency_ms: float | None) -> tuple[TrialRow, str]:
    """The trial to export and why: the best on validation, by which the test images stay unspent.

    Of those whose 95 % intervals overlap with its own, so that their distance may be chance, and that lie within half a
    point of it, the fastest on the device is taken. None is slower than `max_latency_ms`.

    Raises:
        EdgeError: none is as fast as that, or there is none.
    """
    ranked = [row for row in in_order(rows) if row.figures is not None]
    if not ranked:
        reasons = {row.reason for row in rows if row.reason}
        raise EdgeError(f"no trial has figures: {'; '.join(sorted(reasons))}"[:500], "the same command goes on")
    fits = [row for row in ranked if max_latency_ms is None or _ms(row) <= max_latency_ms]
    if not fits:
        fastest = min(ranked, key=_ms)
        known = f"the fastest takes {milliseconds(_ms(fastest))} ms" if fastest.latency_ms else "latency is not known"
        raise EdgeError(
            f"no trial answers within {max_latency_ms:g} ms: {known}",
            "raise `max_latency_ms`, or add smaller `backbones` or `image_sizes`",
        )
    top = fits[0]
    close = [row for row in fits if row is top or _alike(top, row)]
    best = min(close, key=lambda row: (_ms(row), -row.value, row.trial.number))
    of = f"of {len(fits)} trial{'s'[: len(fits) != 1]}"
    if max_latency_ms is not None:
        of += f" within {max_latency_ms:g} ms"
    said = f"trial {top.trial.number} has the best validation figure {of}, {_figure(top)}"
    if best is not top:
        said += (
            f"; of the {len(close)} whose 95 % intervals overlap and that lie within half a point, "
            f"trial {best.trial.number} is the fastest, {milliseconds(_ms(best))} ms"
        )
    return best, f"{said}. The best of many flatters itself on validation; test images had no part in the choice."


def _alike(top: TrialRow, row: TrialRow) -> bool:
    from edge_train import HALF_POINT

    one, two = top.figures, row.figures
    if one is None or two is None or one.best_by != "accuracy" or not (one.val_interval and two.val_interval):
        return row.value == top.value
    return two.val_interval[1] >= one.val_interval[0] and top.accuracy - row.accuracy <= HALF_POINT + 1e-9


def _figure(row: TrialRow) -> str:
    assert row.figures is not None
    n = row.figures.val_n
    name = FIGURE_NAMES[row.figures.figure]
    if row.figures.best_by != "accuracy" and row.figures.figure == "accuracy":
        return f"{row.figures.best_by.replace('-', ' ')} {abs(row.value):.3f} (n {n:,})"
    return f"{name} {row.accuracy:.1%} (n {n:,})"


def _ms(row: TrialRow) -> float:
    return math.inf if row.latency_ms is None else row.latency_ms
