"""What a benchmark measures, and how long."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from edge_benchmarks.plain_data import PlainData
from edge_runtime import Setting, UsageError, check_settings

if TYPE_CHECKING:
    from edge_runtime import Plan

# Throughput is a mean, which so few batches carry; a percentile needs more.
LEAST_BATCHES = 10
WARM_UP_S = 1.0

# The panels of the command's help.
_WHAT, _HOW = "What to measure", "How"


@dataclass(frozen=True, slots=True)
class HowMeasured(PlainData):
    """How a report was measured; `input` says where the pictures come from and `images` how many they were."""

    duration_s: float
    least_runs: int
    batch: int
    cold_starts: int
    sustained_s: float
    cooldown_s: float
    input: str
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """What to measure.

    Every latency is measured for `duration_s` seconds and `least_runs` calls at least, throughput with batches of
    `batch` images for as long. Each model is measured with each of `threads` (None: the usable cores), and started
    `cold_starts` times in a fresh process. `images` are the pictures to classify (none: a drawn one), which
    `images_from` describes; with `random_input` there are none, and nothing is decoded. `sustained_s` seconds without
    a pause are measured in addition, and `cooldown_s` seconds of rest come before what is measured.

    Raises:
        UsageError: a number that makes no sense.
    """

    images: Annotated[
        tuple[Path, ...],
        Setting(
            "Picture to classify; may be repeated.",
            "IMAGE",
            _WHAT,
            "some of --data, of the run's data, or a drawn one",
            flag="--image",
        ),
    ] = ()
    images_from: str = ""
    random_input: Annotated[bool, Setting("Random numbers in place of pictures: any ONNX graph.", panel=_WHAT)] = False
    batch: Annotated[int, Setting("Images per batch for throughput.", "N", _HOW, at_least=1)] = 8
    threads: Annotated[
        tuple[int | None, ...], Setting("Threads of one inference.", "N,N", _HOW, "usable cores", at_least=1)
    ] = (None,)
    duration_s: Annotated[float, Setting("Least time for each figure of each model.", "TIME", _HOW, above=0)] = 3.0
    least_runs: Annotated[int, Setting("Least calls for each latency.", "N", _HOW, flag="--runs", at_least=1)] = 100
    cold_starts: Annotated[int, Setting("Fresh processes to start for each model.", "N", _HOW, at_least=1)] = 5
    sustained_s: Annotated[
        float, Setting("Also run each model so long without a pause, by the minute.", "TIME", _HOW, at_least=0)
    ] = 0.0
    cooldown_s: Annotated[float, Setting("Rest so long before latency is measured.", "TIME", _HOW, at_least=0)] = 0.0

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.threads:
            raise UsageError("`threads` names no number", "try 1,2,4")
        if len(set(self.threads)) < len(self.threads):
            raise UsageError(f"`threads` {','.join(map(str, self.threads))} names a number twice")
        if self.random_input and self.images:
            raise UsageError("`random_input` and `images` exclude each other", "choose one")

    @property
    def plan(self) -> Plan:
        """How long to measure a latency."""
        from edge_runtime import Plan

        return Plan(self.duration_s, least_runs=self.least_runs)

    @property
    def throughput_plan(self) -> Plan:
        """How long to measure throughput."""
        from edge_runtime import Plan

        return Plan(self.duration_s, rounds=5, least_runs=min(LEAST_BATCHES, self.least_runs))

    @property
    def warm_up_s(self) -> float:
        """How long to warm up at least: a second, or less where so little is measured."""
        return min(WARM_UP_S, self.duration_s)

    def how(self) -> HowMeasured:
        """What of it a report keeps."""
        own: dict[str, Any] = {"input": self.images_from, "images": len(self.images)}
        kept = [each.name for each in fields(HowMeasured) if each.name not in own]
        return HowMeasured(**{name: getattr(self, name) for name in kept}, **own)
