"""The benchmarks of training, which are scripts of their own: in a clone beside this package, else installed in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

__all__ = ["TRAINING_BENCHMARKS", "TrainingBenchmark", "find_script", "run_training_benchmark"]

INTERRUPTED = 130
_PACKAGE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class TrainingBenchmark:
    """A script and its first words; `by_default` says that it is over in minutes, not hours."""

    script: str
    words: tuple[str, ...] = ()
    takes_data: bool = False
    by_default: bool = True


TRAINING_BENCHMARKS: Mapping[str, TrainingBenchmark] = MappingProxyType(
    {
        "speed": TrainingBenchmark("training_speed.py", takes_data=True),
        "listing": TrainingBenchmark("training_speed.py", ("listing",)),
        "precision": TrainingBenchmark("precision.py"),
        "cifar10": TrainingBenchmark("cifar10.py", takes_data=True, by_default=False),
    }
)


def find_script(name: str) -> Path:
    """Where the script lies: in the package once installed, beside it in a clone."""
    installed = _PACKAGE / "scripts" / name
    return installed if installed.is_file() else _PACKAGE.parent / name


def run_training_benchmark(name: str, options: Sequence[str], *, as_json: bool) -> tuple[int, str]:
    """Run the benchmark of that name with further `options`; gives its exit code and, `as_json`, its JSON document.

    Otherwise it prints on stdout by itself. Raises KeyboardInterrupt where it was interrupted.
    """
    benchmark = TRAINING_BENCHMARKS[name]
    # -P: a random.py in the folder this is started from is not the standard library's.
    command = [sys.executable, "-P", str(find_script(benchmark.script)), *benchmark.words, *options]
    if as_json:
        command.append("--json")
    sys.stdout.flush()
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if as_json else None, text=True, check=False
    )
    if done.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    return done.returncode, done.stdout or ""
