"""The benchmark itself: contestants in, a report out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edge_benchmarks.machine.environment import read_environment
from edge_benchmarks.machine.other_load import UNKNOWN_BUSYNESS, Busyness
from edge_benchmarks.machine.thermal import Monitor
from edge_benchmarks.measure.memory_groups import split_by_memory
from edge_benchmarks.measure.sustained import Sustained, measure_sustained
from edge_benchmarks.measure.worker_driver import FirstAnswer, Worker
from edge_benchmarks.models.contestant import Contestant
from edge_benchmarks.models.drawn_picture import DRAWN, draw_picture
from edge_benchmarks.models.engines import ENGINE_PACKAGES, Setup
from edge_benchmarks.models.sourced_accuracy import SourcedAccuracy, measured_accuracy, recorded_accuracy
from edge_benchmarks.report.report import ColdStart, Failure, Report, Row, Throughput
from edge_benchmarks.report.turn_bootstrap import unsettled
from edge_benchmarks.settings import BenchSettings
from edge_data import EvaluationData
from edge_runtime import (
    CheckpointError,
    EdgeError,
    ModelError,
    Plan,
    Progress,
    Silence,
    Timings,
    Turn,
    UsageError,
    as_kind,
    available_memory_bytes,
    decode,
    interleave,
    usable_cores,
)


@dataclass
class _HeldBack:
    """What held the machine back while something was measured; None where it does not say."""

    by: tuple[str, ...] | None = None

    def look(self, monitor: Monitor) -> None:
        if (throttled := monitor.throttled()) is not None:
            self.by = tuple(dict.fromkeys((*(self.by or ()), *throttled)))


@dataclass
class _Entry:
    """A contestant on a number of threads, and what was found out about it so far."""

    contestant: Contestant
    threads: int
    setup: Setup
    starts: list[FirstAnswer]
    timings: dict[str, Timings]
    busyness: Busyness = UNKNOWN_BUSYNESS
    stable: bool = True
    held_back: _HeldBack = field(default_factory=_HeldBack)
    group: int = 0
    sustained: Sustained | None = None
    accuracy: SourcedAccuracy | None = None
    error: EdgeError | None = None

    @contextmanager
    def failing(self) -> Iterator[None]:
        """What this model cannot do here, such as when memory does not suffice, is not to cost the others."""
        try:
            yield
        except (ModelError, CheckpointError) as error:
            self.error = error


def bench(
    contestants: Sequence[Contestant], settings: BenchSettings | None = None, *, progress: Progress | None = None
) -> Report:
    """Measure `contestants` side by side; the rows come fastest first by the 90th percentile of inference.

    Raises:
        UsageError: there are no contestants, an image does not exist, or a model takes none.
        ImageError: an image cannot be decoded.
        ModelError: the files are damaged, or none of the models can be run here.
    """
    settings = as_kind(settings or BenchSettings(), BenchSettings, "`settings`")
    contestants = as_kind(contestants, tuple[Contestant, ...], "`contestants`")
    progress = progress or Silence()
    if not contestants:
        raise UsageError("there is nothing to measure", "name a model file, or backbones to build")
    for image in settings.images:
        if not image.exists():
            raise UsageError(f"{image} does not exist", "name an image with `images`")
        decode(image)
    with TemporaryDirectory(prefix="edge-bench-") as folder:
        settings = _with_images(settings, Path(folder))
        entries = _enter(contestants, settings, progress)
        packages = {ENGINE_PACKAGES[contestant.engine] for contestant in contestants} - {"onnxruntime"}
        # Before anything is measured: its load is not ours.
        environment = read_environment(packages=tuple(sorted(packages)))
        with Monitor() as monitor:
            work = _Work(settings, monitor, progress)
            for step in (work.start_cold, work.measure, work.evaluate, work.sustain):
                step([entry for entry in entries if entry.error is None])
                errors = [entry.error for entry in entries if entry.error is not None]
                if len(errors) == len(entries):
                    raise errors[0]
    failures = tuple(Failure(entry.contestant.name, str(entry.error)) for entry in entries if entry.error)
    entries = [entry for entry in entries if entry.error is None]
    rows = sorted((_row(entry, entries) for entry in entries), key=lambda row: row.latency.p90_ms)
    threads = {entry.threads for entry in entries}
    return Report(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        settings=settings.how(),
        environment=replace(environment, threads=threads.pop() if len(threads) == 1 else None),
        conditions=monitor.conditions(),
        rows=tuple(rows),
        failures=failures,
    )


# A row that is noisy is measured as long again, up to so many times: a burst of other work then weighs less.
MORE_TIMES = 2
TASKS = {"preprocess": "decoding", "latency": "inference", "end_to_end": "end to end", "throughput": "throughput"}


def _with_images(settings: BenchSettings, folder: Path) -> BenchSettings:
    if settings.random_input:
        return replace(settings, images_from="random input")
    if settings.images:
        return settings
    return replace(settings, images=(draw_picture(folder / "picture.jpg"),), images_from=DRAWN)


def _enter(contestants: Sequence[Contestant], settings: BenchSettings, progress: Progress) -> list[_Entry]:
    """Every contestant with every number of threads; a wrong file is found before minutes go into the others."""
    progress.begin("reading", len(contestants), "models")
    entries = []
    for contestant in contestants:
        for threads in (given or usable_cores() for given in settings.threads):
            setup = contestant.setup(threads=threads, batch=settings.batch, images=settings.images)
            entries.append(_Entry(contestant, threads, setup, [], {}))
        progress.advance()
    progress.end()
    return entries


@dataclass(frozen=True)
class _Work:
    """The measuring, step by step, each noting in the entries what it found."""

    settings: BenchSettings
    monitor: Monitor
    progress: Progress

    def start_cold(self, entries: Sequence[_Entry]) -> None:
        """Start each model in fresh processes, by turns; those that cannot be run here are left out of the rest.

        First of all: nothing runs here yet, and what the others take of the memory is still free.
        """
        starts = self.settings.cold_starts
        self.progress.begin("cold starts", starts * len(entries), "processes")
        for _ in range(starts):
            for entry in entries:
                if entry.error is None:
                    with entry.failing(), Worker(entry.setup) as worker:
                        entry.starts.append(worker.first)
                self.progress.advance()
        self.progress.end()

    def measure(self, entries: Sequence[_Entry]) -> None:
        """Decoding, inference, end to end and throughput; models take turns as far as memory lets them."""
        plan, decodes = self.settings.plan, not self.settings.random_input
        peaks = [max((start.peak_bytes or 0) for start in entry.starts) for entry in entries]
        groups = split_by_memory(peaks, available_memory_bytes())
        if len(groups) > 1:
            self.progress.say(f"memory does not hold all models at once: they take turns in {len(groups)} groups")
        for number, members in enumerate(groups):
            self._rest()
            with ExitStack() as stack:
                group: list[tuple[_Entry, Worker]] = []
                for entry in (entries[index] for index in members):
                    with entry.failing():
                        group.append((entry, stack.enter_context(Worker(entry.setup))))
                    entry.group = number
                if decodes:
                    self._run("preprocess", group, plan)
                self._run("latency", group, plan)
                if decodes:
                    self._run("end_to_end", group, plan)
                # Last: a batch grows a model's memory, which single images must not inherit.
                self._run("throughput", group, self.settings.throughput_plan)

    def _run(self, task: str, group: Sequence[tuple[_Entry, Worker]], plan: Plan) -> None:
        group = [(entry, worker) for entry, worker in group if entry.error is None]
        self.progress.begin(f"warming up for {TASKS[task]}", len(group), "models")
        for entry, worker in group:
            with entry.failing():
                warm = worker.warm_up(task, least_s=self.settings.warm_up_s)
                if task == "latency":
                    entry.stable = warm.stable
            self.progress.advance()
        turns = [self._turn(entry, worker, task) for entry, worker in group]
        measured = self._interleave(TASKS[task], turns, plan)
        for _ in range(MORE_TIMES if task == "latency" else 0):
            noisy = [place for place, each in enumerate(measured) if each.n and unsettled(each)]
            more = self._interleave("noisy ones again", [turns[place] for place in noisy], plan) if noisy else []
            for place, timings in zip(noisy, more, strict=True):
                measured[place] = measured[place] + timings
        for (entry, worker), timings in zip(group, measured, strict=True):
            entry.timings[task] = timings
            if task == "latency":
                entry.busyness = Busyness.total(worker.busyness)
            worker.busyness.clear()

    def _interleave(self, said: str, turns: Sequence[Turn], plan: Plan) -> list[Timings]:
        self.progress.begin(said, plan.rounds * len(turns), "turns")
        measured = interleave(turns, plan, after_turn=self.progress.advance)
        self.progress.end()
        return measured

    def _turn(self, entry: _Entry, worker: Worker, task: str) -> Turn:
        turn = worker.turn(task, after_turn=partial(entry.held_back.look, self.monitor))

        def take(turn_s: float, least_runs: int) -> Sequence[float]:
            if entry.error is None:
                with entry.failing():
                    return turn(turn_s, least_runs)
            return ()

        return take

    def evaluate(self, entries: Sequence[_Entry]) -> None:
        """The accuracy of each file by each engine, once: threads do not change it."""
        found: dict[tuple[Path, str], SourcedAccuracy] = {}
        for entry in entries:
            contestant = entry.contestant
            images, key = contestant.images, (contestant.opened, contestant.engine)
            if images is None:
                recorded = None if contestant.card is None else recorded_accuracy(contestant.card)
                entry.accuracy = contestant.known_accuracy or recorded
                continue
            with entry.failing():
                if key not in found:
                    found[key] = self._score(entry, images)
                entry.accuracy = found[key]

    def _score(self, entry: _Entry, images: EvaluationData) -> SourcedAccuracy:
        self.progress.begin(f"accuracy of {entry.contestant.name}", len(images.samples))
        with Worker(entry.setup) as worker:
            found, unreadable = worker.evaluate(str(images.root), images.samples, self.progress.advance)
        self.progress.end()
        for reason in unreadable:
            self.progress.say(f"left out: {reason}")
        return measured_accuracy(found, images.root, images.split, (sample.path for sample in images.samples))

    def sustain(self, entries: Sequence[_Entry]) -> None:
        """Minutes without a pause, one model after the other: taking turns, each would rest while another works."""
        seconds, task = self.settings.sustained_s, "latency" if self.settings.random_input else "end_to_end"
        for entry in entries if seconds else ():
            self._rest()
            with entry.failing(), Worker(entry.setup) as worker:
                worker.warm_up(task, least_s=self.settings.warm_up_s)
                self.progress.begin(f"sustained, {entry.contestant.name}", round(seconds), "s")
                held_back = _HeldBack()
                minutes = measure_sustained(
                    worker.turn(task, after_turn=partial(held_back.look, self.monitor)),
                    seconds,
                    lambda: self.monitor.sensors,
                    after_turn=self.progress.advance,
                )
                # The row's own figures were measured before, perhaps on a cool machine.
                entry.sustained = replace(minutes, throttled=held_back.by)
                self.progress.end()

    def _rest(self) -> None:
        if self.settings.cooldown_s:
            self.progress.say(f"resting for {self.settings.cooldown_s:g} s")
            time.sleep(self.settings.cooldown_s)
        self.monitor.forget()


def _row(entry: _Entry, entries: Sequence[_Entry]) -> Row:
    contestant, file = entry.contestant, entry.contestant.file
    return Row(
        model=contestant.name,
        path=None if contestant.passing else str(contestant.opened),
        fresh=contestant.fresh,
        backbone=contestant.backbone,
        variant=contestant.variant,
        precision=contestant.precision,
        engine=contestant.engine,
        threads=entry.threads,
        input_px=file.input_px,
        sha256=file.sha256,
        size_bytes=contestant.opened.stat().st_size,
        parameters=file.parameters,
        gflops=None if file.multiply_adds is None else file.multiply_adds / 1e9,
        accuracy=entry.accuracy,
        cold_start=ColdStart.of(entry.starts),
        latency=entry.timings["latency"],
        throughput=Throughput(entry.setup.batch, entry.timings["throughput"]),
        preprocess=entry.timings.get("preprocess"),
        end_to_end=entry.timings.get("end_to_end"),
        sustained=entry.sustained,
        max_difference=_difference(entry, entries),
        stable=entry.stable,
        busyness=entry.busyness,
        throttled=entry.held_back.by,
        group=entry.group,
        at_once=file.at_once or 1,
    )


def _difference(entry: _Entry, entries: Sequence[_Entry]) -> float | None:
    """How far another engine's first answer is from onnxruntime's of the same network and picture."""
    model = entry.contestant.model
    if entry.contestant.engine == "onnxruntime" or not entry.starts[0].answer:
        return None
    for other in entries:
        if other.contestant.engine == "onnxruntime" and other.contestant.model == model:
            return float(np.abs(np.subtract(entry.starts[0].answer, other.starts[0].answer)).max())
    return None
