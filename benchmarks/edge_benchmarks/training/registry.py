"""The benchmarks of training by name: modules of their own, each run in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_benchmarks.program import INTERRUPTED, python_module


@dataclass(frozen=True, slots=True)
class TrainingBenchmark:
    """A module that runs as a program, and its first words; `by_default` says that it is over in minutes, not hours."""

    module: str
    words: tuple[str, ...] = ()
    takes_data: bool = False
    takes_threads: bool = True
    takes_quiet: bool = False
    by_default: bool = True


TRAINING_BENCHMARKS: Mapping[str, TrainingBenchmark] = {
    "speed": TrainingBenchmark("edge_benchmarks.training.speed", takes_data=True),
    "listing": TrainingBenchmark("edge_benchmarks.training.speed", ("listing",), takes_threads=False),
    "precision": TrainingBenchmark("edge_benchmarks.training.bfloat16"),
    "cifar10": TrainingBenchmark(
        "edge_benchmarks.training.course_on_cifar10", takes_data=True, takes_quiet=True, by_default=False
    ),
}


def run_training_benchmark(name: str, options: Sequence[str], *, as_json: bool) -> tuple[int, str]:
    """Run the benchmark of that name with further `options`; gives its exit code and, `as_json`, its JSON document.

    Otherwise it prints on stdout by itself. Raises KeyboardInterrupt where it was interrupted.
    """
    benchmark = TRAINING_BENCHMARKS[name]
    command = python_module(benchmark.module, *benchmark.words, *options, *(["--json"] if as_json else []))
    sys.stdout.flush()
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if as_json else None, text=True, check=False
    )
    if done.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    return done.returncode, done.stdout or ""
