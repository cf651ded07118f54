"""Model files by each engine that is here, in one process and by turns: wall time and processor time of a picture.

    python benchmarks/self_checks/engine_speed.py --models model.onnx,model-int8.onnx [--seconds 5] [--threads 1]

Processor time is that of all threads of this process, and so hardly moves with what else the machine does; on one
thread its ratio is the engines' own. The first file by onnxruntime is what all are compared with.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

import numpy as np

from edge_benchmarks import Table, engines_here
from edge_benchmarks.machine.environment import read_environment
from edge_runtime import Classifier, RuntimeEngine
from shared import at_least_1, check, flags, say

TURNS = 20


def main() -> int:
    """Measure and print; 1 where something failed."""
    parser = flags("a model by each engine", "seconds", "threads")
    parser.add_argument("--batch", type=at_least_1, default=1, help="pictures at once (default: %(default)s)")
    parser.add_argument("--models", required=True, help="model files with commas between")
    given = parser.parse_args()

    def measure(_: Path) -> bool:
        found, missing = engines_here()
        engines: tuple[RuntimeEngine, ...] = ("onnxruntime", *found)
        say("\n".join([str(read_environment(threads=given.threads, packages=("openvino",))), *missing]))
        opened = {
            (path, engine): Classifier(path, threads=given.threads, engine=engine)
            for path in given.models.split(",")
            for engine in engines
        }
        compare(opened, given.seconds, given.batch)
        return True

    return check(given, measure)


def compare(opened: dict[tuple[str, RuntimeEngine], Classifier], seconds: float, batch: int) -> None:
    """Time each for so many seconds in turns, and print a table: times are those of a batch."""
    calls = {who: _call(classifier, batch) for who, classifier in opened.items()}
    wall: dict[tuple[str, RuntimeEngine], list[float]] = {who: [] for who in calls}
    busy: dict[tuple[str, RuntimeEngine], list[float]] = {who: [] for who in calls}
    for turn in range(TURNS + 1):
        for who, call in calls.items():
            call()
            end = time.perf_counter() + seconds / TURNS
            while True:
                start, spent = time.perf_counter(), time.process_time()
                call()
                done = time.perf_counter(), time.process_time()
                # The first turn is the warm-up.
                if turn:
                    wall[who].append(1000 * (done[0] - start))
                    busy[who].append(1000 * (done[1] - spent))
                if done[0] >= end:
                    break
    base = next(iter(calls))
    rows = [
        (
            Path(path).name,
            opened[path, engine].card.backbone,
            engine,
            f"{median(wall[path, engine]):.2f}",
            f"{median(wall[base]) / median(wall[path, engine]):.2f}",
            f"{median(busy[path, engine]):.2f}",
            f"{_spread(busy[path, engine]):.0%}",
            f"{median(busy[base]) / median(busy[path, engine]):.2f}",
            str(len(wall[path, engine])),
        )
        for path, engine in calls
    ]
    heads = ("model", "backbone", "engine", "p50 ms", "times", "processor\nms", "spread", "times", "n")
    say(Table(heads, tuple(rows), left=3).text())


def _call(classifier: Classifier, batch: int) -> Callable[[], object]:
    size = classifier.preprocessing
    pixels = np.random.default_rng(0).integers(0, 256, (batch, size.height_px, size.width_px, 3), np.uint8)
    return lambda: classifier.probabilities(pixels)


def _spread(times: list[float]) -> float:
    """(p90 - p10) / p50."""
    deciles = quantiles(times, n=10)
    return (deciles[-1] - deciles[0]) / median(times)


if __name__ == "__main__":
    sys.exit(main())
