"""What a benchmark measures, and how long."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from edge_runtime import Plan, UsageError

__all__ = ["BenchSettings", "HowMeasured"]

# Throughput is a mean, which so few batches carry; a percentile needs more.
LEAST_BATCHES = 10
WARM_UP_S = 1.0


@dataclass(frozen=True, slots=True)
class HowMeasured:
    """How a report was measured; `input` says where the pictures come from and `images` how many they were."""

    duration_s: float
    least_runs: int
    batch: int
    cold_starts: int
    sustained_s: float
    cooldown_s: float
    input: str
    images: int

    def to_json(self) -> dict[str, Any]:
        """As the report carries it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What `to_json` gave. Raises KeyError, TypeError or ValueError where `value` is nothing like it."""
        return cls(
            duration_s=float(value["duration_s"]),
            least_runs=int(value["least_runs"]),
            batch=int(value["batch"]),
            cold_starts=int(value["cold_starts"]),
            sustained_s=float(value["sustained_s"]),
            cooldown_s=float(value["cooldown_s"]),
            input=str(value["input"]),
            images=int(value["images"]),
        )


@dataclass(frozen=True, slots=True)
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

    duration_s: float = 3.0
    least_runs: int = 100
    batch: int = 8
    threads: tuple[int | None, ...] = (None,)
    images: tuple[Path, ...] = ()
    images_from: str = ""
    random_input: bool = False
    cold_starts: int = 5
    sustained_s: float = 0.0
    cooldown_s: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.duration_s) and self.duration_s > 0):
            raise UsageError(f"--duration {self.duration_s}: a positive number of seconds is needed", "try 3")
        for flag, seconds in (("--sustained", self.sustained_s), ("--cooldown", self.cooldown_s)):
            if not (math.isfinite(seconds) and seconds >= 0):
                raise UsageError(f"{flag} {seconds}: a number of seconds is needed", "try 10m")
        for flag, number in (("--batch", self.batch), ("--runs", self.least_runs), ("--cold-starts", self.cold_starts)):
            if number < 1:
                raise UsageError(f"{flag} {number}: at least 1 is needed")
        if not self.threads or any(threads is not None and threads < 1 for threads in self.threads):
            given = ",".join(str(threads) for threads in self.threads)
            raise UsageError(f"--threads {given}: at least 1 is needed", "try 1,2,4")
        if len(set(self.threads)) < len(self.threads):
            raise UsageError(f"--threads {','.join(map(str, self.threads))} names a number twice")
        if self.random_input and self.images:
            raise UsageError("--random-input and --image exclude each other", "choose one")

    @property
    def plan(self) -> Plan:
        """How long to measure a latency."""
        return Plan(self.duration_s, least_runs=self.least_runs)

    @property
    def throughput_plan(self) -> Plan:
        """How long to measure throughput."""
        return Plan(self.duration_s, rounds=5, least_runs=min(LEAST_BATCHES, self.least_runs))

    @property
    def warm_up_s(self) -> float:
        """How long to warm up at least: a second, or less where so little is measured."""
        return min(WARM_UP_S, self.duration_s)

    def how(self) -> HowMeasured:
        """What of it a report keeps."""
        return HowMeasured(
            duration_s=self.duration_s,
            least_runs=self.least_runs,
            batch=self.batch,
            cold_starts=self.cold_starts,
            sustained_s=self.sustained_s,
            cooldown_s=self.cooldown_s,
            input=self.images_from,
            images=len(self.images),
        )
