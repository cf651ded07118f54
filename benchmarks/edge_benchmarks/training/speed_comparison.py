"""Two ways to train the same network on the same images: times, memory and accuracy side by side."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from edge_benchmarks.plain_data import PlainData
from edge_benchmarks.report.text_table import Table
from edge_runtime import Accuracy

REQUIRED_SPEEDUP = {"feature-extraction": 10.0, "fine-tune": 1.5, "scratch": 1.3}
MIB = 2**20


@dataclass(frozen=True, slots=True)
class TrainingRun(PlainData):
    """One training in a fresh process: its wall and processor time, peak memory, best epoch's validation accuracy.

    `accuracy` is in 0..1 over `n` images; `epoch_seconds` is empty where a run has no epochs to time.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int | None
    accuracy: float
    n: int
    epoch_seconds: tuple[float, ...] = ()
    computed: ClassVar = {"accuracy_interval_95": "interval"}

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the accuracy."""
        return Accuracy.near(self.accuracy, self.n).interval

    def cells(self) -> tuple[str, ...]:
        """Seconds, processor seconds, peak memory, accuracy and seconds per epoch as text."""
        peak = f"{self.peak_bytes / MIB:.0f}" if self.peak_bytes else "-"
        low, high = self.interval
        accuracy = f"{self.accuracy:.1%} ({low:.1%} to {high:.1%})"
        epochs = " ".join(f"{each:.1f}" for each in self.epoch_seconds) or "-"
        return f"{self.seconds:.1f}", f"{self.cpu_seconds:.1f}", peak, accuracy, epochs


@dataclass(frozen=True, slots=True)
class SpeedComparison:
    """The runs of one strategy, `plain[i]` and `edge[i]` measured one after the other with the same seed.

    `cache_bound_bytes` is how much edge may keep in memory beyond what a plain loop needs, None where it says nothing.
    """

    strategy: str
    plain: tuple[TrainingRun, ...]
    edge: tuple[TrainingRun, ...]
    cache_bound_bytes: int | None

    @property
    def ratio(self) -> float:
        """How many times faster edge is: the ratio of the median times."""
        return statistics.median(r.seconds for r in self.plain) / statistics.median(r.seconds for r in self.edge)

    @property
    def ratios(self) -> tuple[float, ...]:
        """The same for each pair of runs."""
        return tuple(plain.seconds / edge.seconds for plain, edge in zip(self.plain, self.edge, strict=True))

    @property
    def extra_bytes(self) -> int | None:
        """Edge's largest peak less the plain loop's largest; None where the system does not say."""
        edge, plain = _peak(self.edge), _peak(self.plain)
        return None if edge is None or plain is None else edge - plain

    @property
    def memory_kept(self) -> bool | None:
        """Whether the extra memory stays within the cache bound; None where one of them is not known."""
        if self.extra_bytes is None or (self.cache_bound_bytes is None and self.extra_bytes > 0):
            return None
        return self.extra_bytes <= (self.cache_bound_bytes or 0)

    @property
    def intervals(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The 95 % intervals of the mean accuracies, plain and edge.

        The runs are measured on the same images: more runs do not make more images, so the interval stays as wide.
        """
        return _mean_interval(self.plain), _mean_interval(self.edge)

    @property
    def accuracies_agree(self) -> bool:
        """Whether the two intervals overlap."""
        plain, edge = self.intervals
        return plain[0] <= edge[1] and edge[0] <= plain[1]

    def unmet(self) -> list[str]:
        """What falls short of what is asked of edge, one phrase each."""
        (plain_low, _), (_, edge_high) = self.intervals
        required = REQUIRED_SPEEDUP[self.strategy]
        found = []
        if self.ratio < required:
            found.append(f"{self.strategy} is {self.ratio:.2f} times faster, not {required:g}")
        if edge_high < plain_low:
            found.append(f"{self.strategy} is less accurate beyond noise")
        if self.memory_kept is False:
            found.append(f"{self.strategy} takes {_mib(self.extra_bytes or 0)} more than the plain loop")
        return found

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON object."""
        plain, edge = self.intervals
        return {
            "strategy": self.strategy,
            "plain": [run.to_json() for run in self.plain],
            "edge": [run.to_json() for run in self.edge],
            "times_faster": {"median": self.ratio, "values": list(self.ratios)},
            "memory": {
                "extra_bytes": self.extra_bytes,
                "cache_bound_bytes": self.cache_bound_bytes,
                "within_bound": self.memory_kept,
            },
            "accuracy": {"plain_interval_95": plain, "edge_interval_95": edge, "agree": self.accuracies_agree},
            "unmet": self.unmet(),
        }

    def __str__(self) -> str:
        by_program = (("plain loop", self.plain), ("edge train", self.edge))
        rows = tuple((name, *run.cells()) for name, runs in by_program for run in runs)
        heads = (self.strategy, "seconds", "of CPU", "peak MiB", "accuracy (95 %)", "seconds per epoch")
        lines = [Table(heads, rows, left=1).text()]
        each = ", ".join(f"{ratio:.2f}" for ratio in self.ratios)
        bound = "not stated" if self.cache_bound_bytes is None else _mib(self.cache_bound_bytes)
        agree = "agree within noise" if self.accuracies_agree else "differ beyond noise"
        lines.append(
            f"  {self.ratio:.2f} times faster (ratio of medians; each {each}); accuracies {agree} (n {self.edge[0].n})"
        )
        memory = "peak memory unknown"
        if self.extra_bytes is not None:
            side = "above" if self.extra_bytes > 0 else "below"
            memory = f"peak memory {_mib(abs(self.extra_bytes))} {side} the plain loop's"
        lines.append(f"  {memory}; cache bound {bound}")
        return "\n".join(lines)


def _peak(runs: Sequence[TrainingRun]) -> int | None:
    peaks = [run.peak_bytes for run in runs if run.peak_bytes is not None]
    return max(peaks) if len(peaks) == len(runs) else None


def _mean_interval(runs: Sequence[TrainingRun]) -> tuple[float, float]:
    return Accuracy.near(statistics.mean(run.accuracy for run in runs), runs[0].n).interval


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:,.0f} MiB"
