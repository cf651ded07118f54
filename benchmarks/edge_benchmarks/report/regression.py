"""Two reports against each other: how much slower or faster each model became, and how sure that is.

The interval is a cluster bootstrap of the turns (turn_bootstrap.py): the percentile interval of the quotient of the two
figures (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). It holds for these two runs: what
differs from run to run, such as where a process lies in memory, is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_benchmarks.plain_data import PlainData
from edge_benchmarks.report.report import Report, Row
from edge_benchmarks.report.turn_bootstrap import PERCENTS, percentile_interval, resample_percentiles
from edge_runtime import UsageError


@dataclass(frozen=True, slots=True)
class Change:
    """A figure before and after in ms, its relative change (0.1: 10 % slower), and the 95 % interval of that.

    `interval` is None where there were too few turns to tell.
    """

    old_ms: float
    new_ms: float
    interval: tuple[float, float] | None

    @property
    def change(self) -> float:
        """The relative change; positive is slower."""
        return self.new_ms / self.old_ms - 1

    def exceeds(self, limit: float) -> bool:
        """Whether it is slower by more than `limit`, and not by chance: the interval lies above zero."""
        return self.change > limit and (self.interval is None or self.interval[0] > 0)

    def to_json(self) -> dict[str, Any]:
        """As `edge bench --compare --json` prints it."""
        return {
            "old_ms": self.old_ms,
            "new_ms": self.new_ms,
            "change": self.change,
            "interval_95": None if self.interval is None else list(self.interval),
        }


@dataclass(frozen=True, slots=True)
class ModelChange:
    """One row of both reports."""

    old: Row
    new: Row
    p50: Change
    p90: Change

    @property
    def name(self) -> str:
        """What the table calls it; both names where they differ."""
        return self.new.name if self.new.name == self.old.name else f"{self.old.name} → {self.new.name}"

    @property
    def same_file(self) -> bool:
        """Whether both rows measured the very same file."""
        return self.old.sha256 == self.new.sha256

    @property
    def marks(self) -> tuple[str, ...]:
        """What a reader must know of either side."""
        marks = [] if self.same_file else ["another file"]
        marks += [f"{mark} before" for mark in self.old.marks]
        marks += [f"{mark} now" for mark in self.new.marks]
        return tuple(marks)

    def to_json(self) -> dict[str, Any]:
        """As `edge bench --compare --json` prints it."""
        return {
            "model": self.name,
            "engine": self.new.engine,
            "threads": self.new.threads,
            "same_file": self.same_file,
            "p50": self.p50.to_json(),
            "p90": self.p90.to_json(),
            "notes": list(self.marks),
        }


@dataclass(frozen=True, slots=True)
class ReportComparison(PlainData):
    """What became of each model that is in both reports; `only_old` and `only_new` are in one alone.

    `differences` says in words where the two machines or ways of measuring differ, and `failed` why what is in the old
    report alone was not measured, as far as the new one says.
    """

    changes: tuple[ModelChange, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    differences: tuple[str, ...]
    failed: tuple[str, ...] = ()

    def regressions(self, limit: float) -> tuple[ModelChange, ...]:
        """The models whose median is slower by more than `limit`, and not by chance.

        The median, not the 90th percentile: that moves with whatever else the machine does.
        """
        return tuple(change for change in self.changes if change.p50.exceeds(limit))


def compare_reports(old: Report, new: Report) -> ReportComparison:
    """Compare row by row: the same model by name, the same engine, as many threads.

    Where each report has one row, these are compared whatever they are called.

    Raises:
        UsageError: no row of the one is in the other.
    """
    before, after = ({row.key: row for row in report.rows} for report in (old, new))
    pairs = [(before[key], after[key]) for key in after if key in before]
    if not pairs and len(before) == len(after) == 1:
        pairs = [(old.rows[0], new.rows[0])]
    if not pairs:
        raise UsageError(
            "the two reports have no model in common", f"the one has {_listed(old.rows)}, the other {_listed(new.rows)}"
        )
    paired_old, paired_new = {row.key for row, _ in pairs}, {row.key for _, row in pairs}
    return ReportComparison(
        changes=tuple(_change(row, other) for row, other in pairs),
        only_old=tuple(_describe(row) for key, row in before.items() if key not in paired_old),
        only_new=tuple(_describe(row) for key, row in after.items() if key not in paired_new),
        differences=(*_differences(old, new), *dict.fromkeys(each for pair in pairs for each in _run_otherwise(*pair))),
        failed=tuple(each.message for each in new.failures if each.model in {row.model for row in old.rows}),
    )


def _change(old: Row, new: Row) -> ModelChange:
    choose = np.random.default_rng(0)
    before, after = (resample_percentiles(row.latency, choose) for row in (old, new))
    changes = []
    for index, percent in enumerate(PERCENTS):
        interval = None
        if before is not None and after is not None:
            quotients = after[:, index] / before[:, index] - 1
            interval = percentile_interval(quotients)
        changes.append(Change(old.latency.percentile_ms(percent), new.latency.percentile_ms(percent), interval))
    return ModelChange(old, new, *changes)


def _differences(old: Report, new: Report) -> list[str]:
    """Where the two machines or ways of measuring differ, in words."""
    names = {
        "cpu": "processor",
        "instruction_sets": "instruction sets",
        "usable_cores": "usable cores",
        "memory_bytes": "memory",
        "governor": "governor",
        "os": "system",
        "kernel": "kernel",
        "python": "Python",
    }
    found = []
    one, two = old.environment.to_json(), new.environment.to_json()
    for key, name in names.items():
        if one[key] != two[key]:
            found.append(name if isinstance(one[key], list) else f"{name}: {one[key]}, now {two[key]}")
    for package in sorted(old.environment.versions.keys() | new.environment.versions.keys()):
        versions = [report.environment.versions.get(package, "none") for report in (old, new)]
        if versions[0] != versions[1]:
            found.append(f"{package}: {versions[0]}, now {versions[1]}")
    if old.settings.input != new.settings.input:
        found.append(f"input: {old.settings.input}, now {new.settings.input}")
    return found


def _run_otherwise(old: Row, new: Row) -> list[str]:
    """What the rows are not alike in where each was the only one of its report."""
    found = []
    if old.engine != new.engine:
        found.append(f"engine: {old.engine}, now {new.engine}")
    if old.threads != new.threads:
        found.append(f"threads: {old.threads}, now {new.threads}")
    return found


def _listed(rows: Sequence[Row]) -> str:
    shown = [_describe(row) for row in rows[:3]]
    return ", ".join([*shown, "…"] if len(rows) > 3 else shown)


def _describe(row: Row) -> str:
    return f"{row.title}, {row.threads} threads"
