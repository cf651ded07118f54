"""A worker of the bench without a process, for tests of what drives it: it answers at once, each engine its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from types import MappingProxyType
from typing import NoReturn, Self

import pytest

from edge_benchmarks import benching
from edge_benchmarks.machine.other_load import Busyness
from edge_benchmarks.measure.worker_driver import FirstAnswer
from edge_benchmarks.models.engines import Setup
from edge_runtime import Accuracy, EdgeError, ModelError, Sample, Turn, WarmUp

__all__ = ["ANSWER", "CALL_MS", "OTHER_ANSWER", "FakeWorker", "use_fake_workers"]

CALL_MS = {"preprocess": 2.0, "latency": 10.0, "end_to_end": 13.0, "throughput": 25.0}
# What onnxruntime answers, and every other engine.
ANSWER, OTHER_ANSWER = (0.2, 0.5, 0.3), (0.2, 0.4375, 0.3625)


class FakeWorker:
    """In place of `Worker`: a call takes what `CALL_MS` says, longer with fewer threads, and shorter by `speeds`."""

    speeds: Mapping[str, float] = MappingProxyType({})
    unstable: str | None = None

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.busyness: list[Busyness] = []
        answer = ANSWER if setup.engine == "onnxruntime" else OTHER_ANSWER
        self.first = FirstAnswer(200.0, 20.0, 15.0, 60_000_000, answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def warm_up(self, task: str, *, least_s: float) -> WarmUp:
        """Stable but for inference of what is said not to be."""
        del least_s
        return WarmUp(10, stable=task != "latency" or self.unstable is None or self.unstable not in self.setup.path)

    def turn(self, task: str, *, after_turn: Callable[[], object] = lambda: None) -> Turn:
        """Turns that take no time but say they did."""
        call_ms = CALL_MS[task] / (self.setup.threads or 1) / self.speeds.get(self.setup.engine, 1.0)

        def take(turn_s: float, least_runs: int) -> Sequence[float]:
            after_turn()
            self.busyness.append(Busyness(1.0, 0.1, 0.0))
            return [call_ms] * max(least_runs, int(1000 * turn_s / call_ms))

        return take

    def evaluate(
        self, root: str, samples: Sequence[Sample], on_image: Callable[[], object]
    ) -> tuple[Accuracy, list[str]]:
        """All are right."""
        del root, on_image
        return Accuracy(len(samples), len(samples)), []


def use_fake_workers(
    monkeypatch: pytest.MonkeyPatch,
    *,
    failing: str | None = None,
    dying: tuple[str, str] | None = None,
    kind: type[EdgeError] = ModelError,
    disturbed: tuple[str, Callable[[int], bool]] | None = None,
    speeds: Mapping[str, float] = MappingProxyType({}),
    unstable: str | None = None,
) -> None:
    """Let `bench` use them.

    One whose model's path has `failing` in it cannot be started, and one with the first of `dying` dies at the task
    that is the second, both as where memory does not suffice; `kind` is the error. An engine of `speeds` is so many
    times as fast as the others. Of one with the first of `disturbed` those turns of inference, by number from 0, take
    twice as long for which the second holds. One with `unstable` in its path does not become stable.
    """

    def fail(setup: Setup) -> NoReturn:
        raise kind(f"{setup.path} cannot be run in a process of its own: it was killed by signal 9")

    class Worker(FakeWorker):
        def __init__(self, setup: Setup) -> None:
            if failing is not None and failing in setup.path:
                fail(setup)
            super().__init__(setup)
            self.speeds, self.unstable = speeds, unstable

        def turn(self, task: str, *, after_turn: Callable[[], object] = lambda: None) -> Turn:
            if dying is not None and dying[0] in self.setup.path and dying[1] == task:
                return lambda *_: fail(self.setup)
            take = super().turn(task, after_turn=after_turn)
            if disturbed is None or disturbed[0] not in self.setup.path or task != "latency":
                return take
            numbers, is_slow = count(), disturbed[1]

            def take_disturbed(turn_s: float, least_runs: int) -> Sequence[float]:
                factor = 2 if is_slow(next(numbers)) else 1
                return [factor * call_ms for call_ms in take(turn_s, least_runs)]

            return take_disturbed

    monkeypatch.setattr(benching, "Worker", Worker)
