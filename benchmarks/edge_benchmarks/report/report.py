"""What a benchmark found: a row per model, engine and number of threads, and the machine they were measured on."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from edge_benchmarks.machine.environment import Environment
from edge_benchmarks.machine.other_load import UNKNOWN_BUSYNESS, Busyness
from edge_benchmarks.machine.thermal import Conditions
from edge_benchmarks.measure.sustained import Sustained
from edge_benchmarks.measure.worker_driver import FirstAnswer
from edge_benchmarks.models.engines import EngineName
from edge_benchmarks.models.sourced_accuracy import SourcedAccuracy
from edge_benchmarks.plain_data import PlainData
from edge_benchmarks.report.turn_bootstrap import uncertainty, unsettled
from edge_benchmarks.settings import HowMeasured
from edge_runtime import Timings

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Throughput:
    """Batches of `batch` images, one after the other."""

    batch: int
    timings: Timings

    @property
    def images_per_s(self) -> float:
        """Images per second over all batches."""
        return self.batch * self.timings.n / self.timings.total_s

    def to_json(self) -> dict[str, Any]:
        """As the report carries it."""
        return {"batch": self.batch, "images_per_s": self.images_per_s, **self.timings.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(int(value["batch"]), Timings.from_json(value))


@dataclass(frozen=True, slots=True)
class ColdStart(PlainData):
    """Fresh processes, from nothing to the first answer; each is one run of the three timings.

    `peak_bytes` is the most resident memory one of them took, interpreter and engine included, None where the system
    does not say.
    """

    process: Timings
    load: Timings
    first: Timings
    peak_bytes: int | None

    @classmethod
    def of(cls, answers: list[FirstAnswer]) -> Self:
        """From what each process said."""
        peaks = [answer.peak_bytes for answer in answers if answer.peak_bytes is not None]
        return cls(
            Timings.of(answer.process_ms for answer in answers),
            Timings.of(answer.load_ms for answer in answers),
            Timings.of(answer.first_ms for answer in answers),
            max(peaks) if len(peaks) == len(answers) else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(PlainData):
    """What one model costs, run by one engine on so many threads.

    `latency` is inference alone, one image at a time; `preprocess` is decoding and resizing, apart; `end_to_end` both,
    from an encoded picture to its answer. The last two are None where the input was random. `path` is None where
    the file is gone when the benchmark is over, as that of a `fresh` backbone with random weights is.

    `max_difference` is the largest difference to onnxruntime's probabilities of the same picture, None for onnxruntime
    itself; `stable` says whether inference had become stable when it was measured; `throttled` what held the machine
    back meanwhile, None where it does not say; `group` counts the sets of models that took turns with each other.
    `at_once` are the images of one inference: more than 1 where the file fixes them, and its latencies are of so many.
    `variant` is what its network has that its `backbone`'s own has not, in words.
    """

    model: str
    path: str | None
    fresh: bool
    backbone: str
    precision: str
    engine: EngineName
    threads: int
    input_px: str
    sha256: str
    size_bytes: int
    parameters: int
    gflops: float | None
    accuracy: SourcedAccuracy | None
    cold_start: ColdStart
    preprocess: Timings | None = None
    latency: Timings
    end_to_end: Timings | None = None
    throughput: Throughput
    sustained: Sustained | None = None
    max_difference: float | None = None
    stable: bool = True
    throttled: tuple[str, ...] | None = None
    busyness: Busyness = UNKNOWN_BUSYNESS
    group: int = 0
    at_once: int = 1
    variant: tuple[str, ...] = ()
    computed: ClassVar = {"spread": "latency.spread", "uncertainty": "uncertainty", "noisy": "noisy"}

    @property
    def key(self) -> tuple[str, str, int]:
        """What the row is about, to find it in another report: model, engine, threads."""
        return (self.name, self.engine, self.threads)

    @property
    def name(self) -> str:
        """The model; of a fresh backbone with its precision, as both have the same name."""
        return f"{self.model} {self.precision}" if self.fresh else self.model

    @property
    def title(self) -> str:
        """The model, and what runs it where that is not onnxruntime."""
        return self.name if self.engine == "onnxruntime" else f"{self.name}, {self.engine}"

    @property
    def answer(self) -> Timings:
        """What a user waits for: end to end, or inference where nothing was decoded."""
        return self.end_to_end or self.latency

    @property
    def noisy(self) -> bool:
        """Whether its latency's percentiles are too unsure to be relied on."""
        return bool(unsettled(self.latency))

    @property
    def uncertainty(self) -> dict[str, float] | None:
        """How far the 95 % interval of the latency's p50 and p90 reaches, as shares of them."""
        found = uncertainty(self.latency)
        return None if found is None else {f"p{percent}": share for percent, share in found.items()}

    @property
    def marks(self) -> tuple[str, ...]:
        """What a reader of its figures must know."""
        return (*((f"latency of {self.at_once} images",) if self.at_once > 1 else ()), *self.doubts)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why its figures may not be relied on."""
        doubts = []
        if self.throttled:
            doubts.append("throttled")
        if self.noisy:
            unsure = (f"p{percent} ±{share:.0%}" for percent, share in unsettled(self.latency).items())
            doubts.append(f"noisy ({', '.join(unsure)})")
        if not self.stable:
            doubts.append("unstable")
        return tuple(doubts)


@dataclass(frozen=True, slots=True)
class Failure(PlainData):
    """A model that could not be measured here, and why."""

    model: str
    message: str


@dataclass(frozen=True, slots=True)
class Report(PlainData):
    """A benchmark's rows, fastest first by the 90th percentile of inference, and where they were measured.

    `created` is when, in ISO 8601.
    """

    created: str
    settings: HowMeasured
    environment: Environment
    conditions: Conditions
    rows: tuple[Row, ...]
    failures: tuple[Failure, ...] = ()
    renamed: ClassVar = {"rows": "results"}

    @property
    def median_decoding_ms(self) -> float | None:
        """What decoding and resizing a picture takes, over all rows; None where nothing was decoded."""
        known = [row.preprocess.p50_ms for row in self.rows if row.preprocess is not None]
        return statistics.median(known) if known else None

    def to_json(self) -> dict[str, Any]:
        """The document `edge bench --json` prints; docs/bench-format.md specifies it."""
        return {"schema": SCHEMA, **PlainData.to_json(self)}
