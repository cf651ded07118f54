"""The benchmark itself: contestants in, a report out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_benchmarks.contestants import Contestant
from edge_benchmarks.environment import read_environment
from edge_benchmarks.latency import Call, Plan, Timings, take_turns, warm_up
from edge_benchmarks.memory import FreshProcess, probe
from edge_benchmarks.picture import draw_picture
from edge_benchmarks.report import Report, Row, Throughput
from edge_runtime import UsageError
from edge_train import Progress, Silence

__all__ = ["BenchSettings", "bench"]

DRAWN = "drawn picture, 640×480 JPEG"

# Neither is ranked by a percentile, so less time tells as much.
THROUGHPUT_SHARE = 1 / 3
DECODING_SHARE = 1 / 10


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """What to measure. `image` is the picture to classify (None: a drawn one), `threads` as for `Classifier`.

    `duration_s` is the time each model's latency is measured for; throughput takes a third of it, decoding a tenth.

    Raises:
        UsageError: a duration that is not positive and finite, or a batch below 1.
    """

    duration_s: float = 3.0
    batch: int = 8
    threads: int | None = None
    image: Path | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.duration_s) and self.duration_s > 0):
            raise UsageError(f"--duration {self.duration_s}: a positive number of seconds is needed", "try 3")
        if self.batch < 1:
            raise UsageError(f"--batch {self.batch}: at least 1 is needed", "try 8")

    @property
    def plan(self) -> Plan:
        """How long to measure latency."""
        return Plan(self.duration_s)

    def shorter_plan(self, share: float) -> Plan:
        """A plan of this share of the duration."""
        return replace(self.plan, duration_s=self.duration_s * share, rounds=3, least_runs=10)


def bench(
    contestants: Sequence[Contestant], settings: BenchSettings | None = None, *, progress: Progress | None = None
) -> Report:
    """Measure `contestants` side by side; the rows come fastest first by the 90th percentile of latency.

    Raises:
        UsageError: there are no contestants, or the image does not exist.
        ImageError: the image cannot be decoded.
        ModelError: a contestant cannot be run.
    """
    settings = settings or BenchSettings()
    progress = progress or Silence()
    if not contestants:
        raise UsageError("there is nothing to measure", "name a model file, or backbones with --backbones")
    if settings.image is not None and not settings.image.exists():
        raise UsageError(f"{settings.image} does not exist", "name an image with --image")
    with TemporaryDirectory(prefix="edge-bench-") as folder:
        image = settings.image or draw_picture(Path(folder) / "picture.jpg")
        # First: nothing runs here yet, and the batches' memory is not yet taken from the fresh processes.
        processes = _probe_all(contestants, image, settings, progress)
        preprocessing, latency, throughput = _measure(contestants, image, settings, progress)
    rows = [
        Row(
            model=contestant.name,
            path=None if contestant.fresh else str(contestant.path),
            backbone=contestant.classifier.card.backbone,
            precision=contestant.classifier.card.precision,
            input_px=contestant.input_px,
            size_bytes=contestant.size_bytes,
            image=str(settings.image) if settings.image else DRAWN,
            preprocess=preprocessing[i],
            latency=latency[i],
            throughput=Throughput(settings.batch, throughput[i]),
            process=processes[i],
        )
        for i, contestant in enumerate(contestants)
    ]
    rows.sort(key=lambda row: row.latency.percentile_ms(90))
    return Report(read_environment(threads=settings.threads), tuple(rows))


def _probe_all(
    contestants: Sequence[Contestant], image: Path, settings: BenchSettings, progress: Progress
) -> list[FreshProcess]:
    progress.begin("memory", len(contestants), "models")
    processes = []
    for contestant in contestants:
        # Opening it here turns a wrong file into its own error, not a subprocess's.
        contestant.classifier.preprocessing(image)
        processes.append(probe(contestant.path, image, threads=settings.threads))
        progress.advance()
    progress.end()
    return processes


def _measure(
    contestants: Sequence[Contestant], image: Path, settings: BenchSettings, progress: Progress
) -> tuple[list[Timings], list[Timings], list[Timings]]:
    """Decoding, latency and throughput, in that order, a list with one entry per contestant each."""

    def run(task: str, calls: Sequence[Call], plan: Plan) -> list[Timings]:
        progress.begin(f"warming up for {task}", len(calls), "models")
        for call in calls:
            warm_up(call, least_s=min(1.0, plan.duration_s))
            progress.advance()
        progress.begin(task, plan.rounds * len(calls), "turns")
        timings = take_turns(calls, plan, after_turn=progress.advance)
        progress.end()
        return timings

    decoding = run("decoding", [c.preprocess(image) for c in contestants], settings.shorter_plan(DECODING_SHARE))
    latency = run("latency", [c.inference(image) for c in contestants], settings.plan)
    # Made only now: a batch grows onnxruntime's memory, which single images must not inherit.
    batches = [c.inference(image, batch=settings.batch) for c in contestants]
    return decoding, latency, run("throughput", batches, settings.shorter_plan(THROUGHPUT_SHARE))
