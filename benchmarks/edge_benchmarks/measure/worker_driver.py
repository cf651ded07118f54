"""The worker processes of a benchmark, seen from the process that drives them."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import edge_runtime
from edge_benchmarks.machine.other_load import Busyness
from edge_benchmarks.models.engines import Setup
from edge_benchmarks.program import python_module
from edge_runtime import Accuracy, EdgeError, ModelError, Sample, Turn, WarmUp

# A cold start of a 500 MB model from an SD card takes a minute; ten are a process that hangs.
TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """A model in a process of its own, from nothing to its first answer.

    `process_ms` is all of it: starting Python, importing, `load_ms` to open the model, and `first_ms` to decode and
    resize one picture and answer it. `peak_bytes` is the process's peak resident memory until then, None where the
    system does not say. `answer` are the probabilities, empty where the input was random.
    """

    process_ms: float
    load_ms: float
    first_ms: float
    peak_bytes: int | None
    answer: tuple[float, ...]


class Worker:
    """A process that holds one open model and does as it is told; used as a context.

    Raises:
        EdgeError: what the process itself could not do, by the same class as there.
        ModelError: the process died, or gave no answer within ten minutes.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self.busyness: list[Busyness] = []
        command = python_module("edge_benchmarks.measure.worker_process", json.dumps(setup.to_json()))
        start = time.perf_counter()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True, encoding="utf-8"
        )
        try:
            ready = self._hear(TIMEOUT_S)
        except BaseException:
            self.close()
            raise
        process_ms = (time.perf_counter() - start) * 1000
        self.first = FirstAnswer(process_ms, **{**ready, "answer": tuple(ready["answer"])})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process; nothing it holds is worth waiting for."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            if stream is not None:
                # What was not yet written to a process that has gone is nobody's.
                with suppress(OSError):
                    stream.close()

    def warm_up(self, task: str, *, least_s: float) -> WarmUp:
        """Run `task` until it is stable."""
        done = self._ask(do="warm_up", task=task, least_s=least_s)
        return WarmUp(done["runs"], done["stable"])

    def turn(self, task: str, *, after_turn: Callable[[], object] = lambda: None) -> Turn:
        """Turns at `task`; what else the machine did meanwhile is added to `busyness`."""

        def take(turn_s: float, least_runs: int) -> Sequence[float]:
            done = self._ask(do="turn", task=task, turn_s=turn_s, least_runs=least_runs)
            self.busyness.append(Busyness.from_json(done["busyness"]))
            after_turn()
            times_ms: list[float] = done["times_ms"]
            return times_ms

        return take

    def evaluate(
        self, root: str, samples: Sequence[Sample], on_image: Callable[[], object]
    ) -> tuple[Accuracy, list[str]]:
        """Of the samples below `root`, and what cannot be read; `on_image` is called once per image."""
        self._say(do="evaluate", root=root, samples=[(sample.path, sample.label) for sample in samples])
        while "advance" in (heard := self._hear()):
            on_image()
        return Accuracy(heard["correct"], heard["n"]), heard["unreadable"]

    def _ask(self, **command: Any) -> dict[str, Any]:
        self._say(**command)
        return self._hear()

    def _say(self, **command: Any) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._death() from None

    def _hear(self, timeout_s: float | None = None) -> dict[str, Any]:
        assert self._process.stdout is not None
        watchdog = threading.Timer(timeout_s, self._process.kill) if timeout_s else None
        if watchdog:
            watchdog.daemon = True
            watchdog.start()
        try:
            line = self._process.stdout.readline()
        finally:
            if watchdog:
                watchdog.cancel()
        if not line.endswith("\n"):
            raise self._death()
        heard: dict[str, Any] = json.loads(line)
        if "error" in heard:
            raise _error(heard)
        return heard

    def _death(self) -> ModelError:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        reason = f"it was killed by signal {-code}" if code < 0 else lines[-1] if lines else "it said nothing"
        return ModelError(
            f"{self._setup.path} cannot be run in a process of its own: {reason}",
            "is there memory enough for it? edge predict with the same model says more",
        )


def _error(heard: dict[str, Any]) -> EdgeError:
    """The error that the worker met, of the same class."""
    kind = getattr(edge_runtime, heard["error"], EdgeError)
    error = kind.__new__(kind)
    EdgeError.__init__(error, heard["message"], heard["hint"])
    return error  # type: ignore[no-any-return]
