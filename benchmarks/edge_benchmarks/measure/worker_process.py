"""One model in its own process: `python -m edge_benchmarks.measure.worker_process SETUP`; `worker_driver` drives it.

Peak memory is only a model's own in a process that has done nothing else, and engines that share a process share
threads and caches. It opens the model, answers one picture, says so as a JSON line on stdout, and then obeys the JSON
lines on stdin, each answered by one, until stdin ends. Whatever a library prints on stdout goes to stderr.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from edge_benchmarks.models.engines import Engine, Setup, import_engine, open_engine, random_pixels
from edge_runtime import EdgeError, Sample, prepare_process, read_encoded, read_meminfo

if TYPE_CHECKING:
    from edge_runtime import Call

RANDOM_IMAGES = 4


def main(text: str) -> None:
    """Open what the setup `text` says, then obey."""
    prepare_process()
    # Ctrl-C reaches the whole group; whoever started this process ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    say = _speaker()
    try:
        setup = Setup.from_json(json.loads(text))
        import_engine(setup.engine)
        start = time.perf_counter()
        engine = open_engine(setup)
        loaded = time.perf_counter()
        answer: list[float] = []
        if not setup.images or engine.preprocessing is None:
            engine.run(random_pixels(engine.preprocessing, 1)[0][np.newaxis])
        else:
            pixels = engine.preprocessing(Path(setup.images[0]))[np.newaxis]
            answer = [float(share) for share in engine.run(pixels)[0]]
        answered = time.perf_counter()
        say(
            {
                "load_ms": (loaded - start) * 1000,
                "first_ms": (answered - loaded) * 1000,
                "peak_bytes": peak_bytes(),
                "answer": answer,
            }
        )
        obey = _Obedience(engine, setup, say)
        for line in sys.stdin:
            say(obey(json.loads(line)))
    except EdgeError as error:
        say({"error": type(error).__name__, "message": error.message, "hint": error.hint})


def peak_bytes() -> int | None:
    """The most memory this process has had resident, in bytes; None where the system does not say (Windows)."""
    # Not getrusage where there is a choice: on Linux its maximum survives exec, so a child starts with its parent's.
    if (most := read_meminfo(Path("/proc/self/status")).get("VmHWM")) is not None:
        return most
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, the others kilobytes.
    return most if sys.platform == "darwin" else most * 1024


def _speaker() -> Callable[[Mapping[str, Any]], None]:
    """What writes a JSON line to the process's real stdout, which nothing else can reach from now on."""
    out: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(value: Mapping[str, Any]) -> None:
        out.write(json.dumps(value) + "\n")
        out.flush()

    return say


class _Obedience:
    """The commands, each a JSON object with the key `do`."""

    def __init__(self, engine: Engine, setup: Setup, say: Callable[[Mapping[str, Any]], None]) -> None:
        self._engine = engine
        self._setup = setup
        self._say = say
        self._calls: dict[str, Call] = {}

    def __call__(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        method: Callable[[Mapping[str, Any]], Mapping[str, Any]] = getattr(self, f"_{command['do']}")
        return method(command)

    def _warm_up(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        from edge_runtime import warm_up

        task = command["task"]
        # Pictures take their turns, and one is decoded faster than the other.
        window = max(5, len(self._setup.images)) if task in ("preprocess", "end_to_end") else 5
        done = warm_up(self._call(task), least_s=command["least_s"], window=window)
        return {"runs": done.runs, "stable": done.stable}

    def _turn(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        from edge_benchmarks.machine.other_load import Meter
        from edge_runtime import time_calls

        call = self._call(command["task"])
        meter = Meter()
        times_ms = time_calls(call, command["turn_s"], command["least_runs"])
        # A tenth of a microsecond is all that a clock can be trusted with.
        return {"times_ms": [round(time_ms, 4) for time_ms in times_ms], "busyness": meter.read().to_json()}

    def _evaluate(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        samples = [Sample(path, label) for path, label in command["samples"]]
        found = self._engine.evaluate(Path(command["root"]), samples, lambda: self._say({"advance": 1}))
        top1 = found.metrics.top1
        return {"correct": top1.correct, "n": top1.n, "unreadable": [error.message for error in found.unreadable]}

    def _call(self, task: str) -> Call:
        # Made when first asked for: a batch grows a model's memory, which single pictures must not inherit.
        if task not in self._calls:
            self._calls[task] = self._make_call(task)
        return self._calls[task]

    def _make_call(self, task: str) -> Call:
        engine, preprocessing = self._engine, self._engine.preprocessing
        if not self._setup.images or preprocessing is None:
            pixels = random_pixels(preprocessing, RANDOM_IMAGES)
        else:
            encoded = [read_encoded(image) for image in self._setup.images]
            if task == "preprocess":
                turn = cycle(encoded)
                return lambda: preprocessing(next(turn))
            if task == "end_to_end":
                turn = cycle(encoded)
                return lambda: engine.answer(next(turn))
            pixels = [preprocessing(each) for each in encoded]
        if task == "throughput":
            several = cycle(pixels)
            batch = np.stack([next(several) for _ in range(self._setup.batch)])
            return lambda: engine.run(batch)
        single = cycle([each[np.newaxis] for each in pixels])
        return lambda: engine.run(next(single))


if __name__ == "__main__":
    main(*sys.argv[1:])
