"""Whether the bench's figures are the model's: what its clock and loop add, and a loop written by hand beside it.

    python benchmarks/self_checks/overhead.py [--model M] [--image I] [--seconds 5] [--pairs 3] [--threads N] [--check]

Its own share is measured on a call that does nothing: what is recorded for it, and what passes between two recorded
calls. The loop by hand calls `session.run` of a session with edge's options in a process of its own; it and a worker of
the bench take turns, in several pairs of fresh processes, as two processes of one program differ by themselves. With
--check it ends with 1 where the bench adds 1 % and 20 µs or more to a call, or its median is more than 3 % from the
other's.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_benchmarks.measure.worker_driver import Worker
from edge_benchmarks.models.engines import Setup
from edge_runtime import Classifier, Plan, interleave, time_calls
from shared import at_least_1, check, flags, say, subject

MOST_SHARE, MOST_US = 0.01, 20.0
MOST_DIFFERENCE = 0.03
EMPTY_TURNS, EMPTY_TURN_S = 20, 0.05

BARE_LOOP = """
import json, sys, time
import numpy as np
import onnxruntime

model, image, threads = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
options.inter_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
feed = {"image": np.load(image)}
for line in sys.stdin:
    seconds, least = json.loads(line)
    times, begin = [], time.perf_counter()
    while time.perf_counter() - begin < seconds or len(times) < least:
        start = time.perf_counter()
        session.run(["probabilities"], feed)
        times.append(time.perf_counter() - start)
    print(json.dumps([1000 * each for each in times]), flush=True)
"""


@dataclass(frozen=True)
class Pair:
    """Medians of the bench and of the loop by hand, in ms, each from `n` calls."""

    bench_ms: float
    bare_ms: float
    n: tuple[int, int]


@dataclass(frozen=True)
class Findings:
    """What the bench adds to a call in µs, recorded as the call's and between calls, and the pairs measured."""

    recorded_us: float
    between_us: float
    pairs: tuple[Pair, ...]

    @property
    def median_ms(self) -> float:
        """The bench's median over all pairs."""
        return statistics.median(pair.bench_ms for pair in self.pairs)

    @property
    def difference(self) -> float:
        """How far the bench's median lies from that of the loop by hand, as a share: the middle one of the pairs."""
        return statistics.median(pair.bench_ms / pair.bare_ms for pair in self.pairs) - 1

    def unmet(self) -> list[str]:
        """What was promised and is not so, in words."""
        unmet = []
        added_us = self.recorded_us + self.between_us
        if added_us >= MOST_US and added_us >= MOST_SHARE * 1000 * self.median_ms:
            unmet.append(f"the bench adds {added_us:.1f} µs to a call of {self.median_ms:.3f} ms")
        if abs(self.difference) > MOST_DIFFERENCE:
            unmet.append(f"its median is {self.difference:+.1%} from that of a loop by hand")
        return unmet


def main() -> int:
    """Measure and print; 1 where something failed or, with --check, a promise is not kept."""
    parser = flags("what edge bench adds to what it measures", "model", "image", "seconds", "threads")
    parser.add_argument("--pairs", type=at_least_1, default=3, help="pairs of processes (default: %(default)s)")
    given = parser.parse_args()

    def hold(folder: Path) -> bool:
        model, image = subject(given, folder)
        setup = Setup(str(model), threads=given.threads, images=(str(image),))
        pairs = tuple(measure_pairs(setup, folder, given.seconds, given.pairs))
        findings = Findings(*measure_own_share(), pairs)
        say("\n".join(describe(findings)))
        return not findings.unmet()

    return check(given, hold)


def measure_own_share() -> tuple[float, float]:
    """µs that an empty call is recorded with, and µs that pass between two recorded calls; medians over turns."""
    recorded_us, between_us = [], []
    for _ in range(EMPTY_TURNS):
        start = time.perf_counter()
        times_ms = time_calls(lambda: None, EMPTY_TURN_S)
        wall_us = 1e6 * (time.perf_counter() - start)
        recorded_us.append(1000 * statistics.median(times_ms))
        between_us.append((wall_us - 1000 * sum(times_ms)) / len(times_ms))
    return statistics.median(recorded_us), statistics.median(between_us)


def measure_pairs(setup: Setup, folder: Path, seconds: float, count: int) -> list[Pair]:
    """A worker of the bench and a loop by hand, taking turns; each pair in fresh processes."""
    pixels = Classifier(setup.path, threads=1).preprocessing(Path(setup.images[0]))[np.newaxis]
    script, array = folder / "bare.py", folder / "pixels.npy"
    script.write_text(BARE_LOOP, encoding="utf-8")
    np.save(array, pixels)
    command = [sys.executable, str(script), setup.path, str(array), str(setup.threads)]
    pairs = []
    for number in range(count):
        with Worker(setup) as worker, BareLoop(command) as bare:
            worker.warm_up("latency", least_s=min(1.0, seconds))
            bare.turn(min(1.0, seconds), 10)
            turns = [worker.turn("latency"), bare.turn]
            # Whoever comes second meets the other's caches.
            order = slice(None, None, -1 if number % 2 else 1)
            bench, by_hand = interleave(turns[order], Plan(duration_s=seconds))[order]
        pairs.append(Pair(bench.p50_ms, by_hand.p50_ms, (bench.n, by_hand.n)))
    return pairs


class BareLoop:
    """The process that loops by hand, a turn for each line it is told."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> BareLoop:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def turn(self, turn_s: float, least_runs: int) -> list[float]:
        """The milliseconds of each call. Raises OSError where the process has ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([turn_s, least_runs]) + "\n")
        self._process.stdin.flush()
        if not (line := self._process.stdout.readline()):
            raise OSError("the loop by hand has ended")
        times_ms: list[float] = json.loads(line)
        return times_ms


def describe(findings: Findings) -> list[str]:
    """The findings in lines for people."""
    share = (findings.recorded_us + findings.between_us) / 1000 / findings.median_ms
    return [
        f"an empty call: {findings.recorded_us:.2f} µs recorded, {findings.between_us:.2f} µs between two calls; "
        f"together {share:.2%} of this model's median",
        *(
            f"bench p50 {pair.bench_ms:.3f} ms (n {pair.n[0]}), session.run by hand {pair.bare_ms:.3f} ms "
            f"(n {pair.n[1]}): {pair.bench_ms / pair.bare_ms - 1:+.1%}"
            for pair in findings.pairs
        ),
        f"middle of the pairs {findings.difference:+.1%}; {MOST_DIFFERENCE:.0%} is allowed",
        *(f"not kept: {line}" for line in findings.unmet()),
    ]


if __name__ == "__main__":
    sys.exit(main())
