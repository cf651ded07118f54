"""Start-up: `edge train` until its first epoch begins, against a bare script that imports torch and torchvision.

    python benchmarks/self_checks/start_up.py [--runs 5] [--check]

`edge train` on the drawn shapes, ResNet-18 from scratch, is ended when it says what it trains. The bare script imports
both, which no training goes without, and then either ends or, once, hurries: what the interpreter takes for its end is
a part of every command. By turns, after one unmeasured run each. Processor time is that of all threads, and says on a
busy machine what the clock does not. With --check it ends with 1 where edge takes more than 1.5 times what the imports
take of it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from cold_start import Run, run_once, with_bytecode
from edge_benchmarks import Table
from shared import at_least_1, check, edge_command, flags, say

TARGET = 1.5
BARE, HURRIED, TRAIN = "bare imports", "bare imports, end not waited for", "edge train, to its first epoch"
MODULES = "torch, torchvision"
SAID = "training "


def main() -> int:
    """Measure and print; 1 where something failed or, with --check, the target was missed."""
    parser = flags("edge train until its first epoch, against bare imports of torch")
    parser.add_argument("--runs", type=at_least_1, default=5, help="measured runs of each (default: %(default)s)")
    given = parser.parse_args()
    return check(given, lambda folder: compare(folder, given.runs) <= TARGET)


def compare(folder: Path, runs: int) -> float:
    """Start each `runs` times by turns and print what they take; the ratio of the medians of processor time."""
    environment = with_bytecode(folder / "bytecode")
    settings = ("--data", "shapes", "--epochs", "1", "--weights", "none", "--strategy", "scratch", "--out", str(folder))
    programs = {
        BARE: lambda: run_once([sys.executable, "-c", f"import {MODULES}"], environment),
        HURRIED: lambda: run_once([sys.executable, "-c", f"import os, {MODULES}; os._exit(0)"], environment),
        TRAIN: lambda: _until_it_trains([*edge_command(), "train", *settings], environment),
    }
    taken: dict[str, list[Run]] = {name: [] for name in programs}
    for run in range(runs + 1):
        for name in programs if run % 2 else reversed(programs):
            one = programs[name]()
            # The first of each reads its files from the disk, compiles its modules and draws the shapes.
            if run:
                taken[name].append(one)
    rows = []
    for name, each in taken.items():
        walls, cpus = [one.wall_s for one in each], [one.cpu_s for one in each]
        spread = (f"{of(values):.2f}" for values in (walls, cpus) for of in (statistics.median, min, max))
        rows.append((name, *spread))
    say(f"seconds, {runs} runs each, by the clock and of processor time")
    say(Table(("", "median", "min", "max", "cpu", "min", "max"), tuple(rows), left=1).text())
    ratio = statistics.median(one.cpu_s for one in taken[TRAIN]) / statistics.median(
        one.cpu_s for one in taken[HURRIED]
    )
    say(f"edge train takes {ratio:.2f} times the processor time of the imports; the target is {TARGET}")
    return ratio


def _until_it_trains(command: list[str], environment: Mapping[str, str]) -> Run:
    """From the start to the line that says what is trained; raises CalledProcessError where that never comes."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    said = ""
    with process:
        for line in process.stderr:
            said += line
            if line.startswith(SAID):
                run = Run(time.perf_counter() - start, _cpu_s(process.pid))
                process.kill()
                return run
    raise subprocess.CalledProcessError(process.returncode, command, stderr=said)


def _cpu_s(process: int) -> float:
    """Processor time that a process has taken until now, s; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return 0.0


if __name__ == "__main__":
    sys.exit(main())
