"""The course's table: what each strategy reaches, how long it takes, how much of the network it trains."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_benchmarks.report.text_table import Table
from edge_benchmarks.training.resumable_run import Outcome

COLUMNS = ("strategy", "train", "val", "test", "runs", "test images", "minutes", "trained", "course", "target", "met")


@dataclass(frozen=True, slots=True)
class Target:
    """What a strategy should reach: the mean test accuracy, 0..1, and the median minutes; None asks for nothing."""

    accuracy: float
    minutes: float | None = None

    def __str__(self) -> str:
        within = "" if self.minutes is None else f" in {self.minutes:g} min"
        return f"{self.accuracy:.0%}{within}"


@dataclass(frozen=True, slots=True)
class StrategyRow:
    """The finished runs of one strategy; `course` is what the course says of it."""

    strategy: str
    outcomes: tuple[Outcome, ...]
    course: str
    target: Target

    @property
    def minutes(self) -> float | None:
        """The median over the runs whose time is known; None where none is."""
        known = [each.seconds / 60 for each in self.outcomes if each.seconds is not None]
        return statistics.median(known) if known else None

    @property
    def test_accuracy(self) -> float | None:
        """The mean over the runs, 0..1; None without test images."""
        return _mean([each.test_accuracy for each in self.outcomes])

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where accuracy or time, if asked for, is not known."""
        if self.test_accuracy is None:
            return None
        if self.test_accuracy < self.target.accuracy:
            return False
        if self.target.minutes is None:
            return True
        return None if self.minutes is None else self.minutes <= self.target.minutes

    def cells(self) -> tuple[str, ...]:
        """The row in the order of COLUMNS."""
        if not self.outcomes:
            dashes = ("-",) * (len(COLUMNS) - 4)
            return (self.strategy, *dashes, self.course, str(self.target), "no run")
        first = self.outcomes[0]
        images = sorted({each.test_images for each in self.outcomes})
        return (
            self.strategy,
            _share([each.train_accuracy for each in self.outcomes]),
            _share([each.val_accuracy for each in self.outcomes]),
            _share([each.test_accuracy for each in self.outcomes]),
            str(len(self.outcomes)),
            " or ".join(f"{count:,}" for count in images),
            self._minutes_text(),
            f"{first.parameters_trained:,} ({first.parameters_trained / first.parameters:.1%})",
            self.course,
            str(self.target),
            {True: "yes", False: "no", None: "unknown"}[self.met],
        )

    def _minutes_text(self) -> str:
        known = [each.seconds / 60 for each in self.outcomes if each.seconds is not None]
        resumed = len(self.outcomes) - len(known)
        if not known:
            return "resumed"
        text = _with_spread(f"{statistics.median(known):.1f}", [f"{each:.1f}" for each in (min(known), max(known))])
        return f"{text}, {resumed} resumed" if resumed else text

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON object."""
        return {
            "strategy": self.strategy,
            "n": len(self.outcomes),
            "test_accuracy": self.test_accuracy,
            "minutes": self.minutes,
            "course": self.course,
            "target": asdict(self.target),
            "met": self.met,
            "runs": [each.to_json() for each in self.outcomes],
        }


def course_table(rows: Sequence[StrategyRow]) -> Table:
    """A line for each strategy."""
    return Table(COLUMNS, tuple(row.cells() for row in rows), left=1)


def markdown_report(
    rows: Sequence[StrategyRow], environment: Mapping[str, Any], commands: Mapping[str, Sequence[str]]
) -> str:
    """The table, how it was made and on what, in Markdown."""
    facts = "".join(f"- {name.replace('_', ' ')}: {value}\n" for name, value in environment.items())
    made = "".join(
        f"- {strategy}: `edge train --strategy {strategy} {' '.join(words)}`\n" for strategy, words in commands.items()
    )
    return (
        f"{course_table(rows).markdown()}\n\n"
        "Accuracies are the mean over the runs (lowest..highest), minutes the median. Train accuracy is that of the\n"
        "best epoch while it learnt, on augmented images. A run that was killed and resumed has no time.\n\n"
        f"{made}\n{facts}"
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def _share(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    return _with_spread(f"{statistics.mean(known):.1%}", [f"{100 * each:.1f}" for each in (min(known), max(known))])


def _with_spread(middle: str, ends: Sequence[str]) -> str:
    return f"{middle} ({ends[0]}..{ends[1]})" if ends[0] != ends[1] else middle
