"""Cold start: `edge predict --image x.jpg` from the shell against a bare script that does the same work.

    python benchmarks/self_checks/cold_start.py [--model M] [--image I] [--runs 10] [--check] [--verbose]

The bare script imports numpy, Pillow and onnxruntime, decodes, resizes and crops the picture, runs the model and prints
the top label. Both are started by turns, in changing order, after one unmeasured run each, which leaves bytecode for
the others as an installed package has it. Processor time is that of all threads, and says on a busy machine what the
clock does not; memory is the peak of what was resident. With --check it ends with 1 where edge takes more than 1.3
times as long or 1.15 times the memory.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from edge_benchmarks import Table
from shared import at_least_1, check, edge_command, flags, megabytes, say, subject

TIME_TARGET, MEMORY_TARGET = 1.30, 1.15

BARE_SCRIPT = """
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

model, path = sys.argv[1:]
options = onnxruntime.SessionOptions()
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
card = json.loads(session.get_modelmeta().custom_metadata_map["edge"])
contract = card["preprocessing"]
with Image.open(path) as image:
    image = image.convert("RGB")
scale = contract["resize_short_side"] / min(image.size)
image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
left, top = (image.width - contract["width"]) // 2, (image.height - contract["height"]) // 2
image = image.crop((left, top, left + contract["width"], top + contract["height"]))
probabilities = session.run(None, {"image": np.asarray(image)[np.newaxis]})[0][0]
print(card["labels"][int(probabilities.argmax())], float(probabilities.max()))
"""


@dataclass(frozen=True)
class Run:
    """What one process took, in seconds and megabytes; processor time and memory are 0 where no system call tells."""

    wall_s: float
    cpu_s: float = 0.0
    peak_mb: float = 0.0


def main() -> int:
    """Measure and print; 1 where something failed or, with --check, a target was missed."""
    parser = flags("edge predict against a bare script, cold from the shell", "model", "image")
    parser.add_argument("--runs", type=at_least_1, default=10, help="measured runs of each (default: %(default)s)")
    parser.add_argument("--verbose", action="store_true", help="also print what edge predict spends on imports")
    given = parser.parse_args()

    def measure(folder: Path) -> bool:
        model, image = subject(given, folder)
        time_ratio, memory_ratio = compare(folder, model, image, given.runs, verbose=given.verbose)
        return time_ratio <= TIME_TARGET and memory_ratio <= MEMORY_TARGET

    return check(given, measure)


def compare(folder: Path, model: Path, image: Path, runs: int, *, verbose: bool) -> tuple[float, float]:
    """Time both programs `runs` times and print the comparison; the ratios of median time and of median memory."""
    bare = folder / "bare.py"
    bare.write_text(BARE_SCRIPT, encoding="utf-8")
    programs = {
        "edge predict": [*edge_command(), "predict", "--model", str(model), "--image", str(image)],
        "bare script": [sys.executable, str(bare), str(model), str(image)],
    }
    taken: dict[str, list[Run]] = {name: [] for name in programs}
    environment = with_bytecode(folder / "bytecode")
    for run in range(runs + 1):
        order = list(programs) if run % 2 else list(reversed(programs))
        for name in order:
            one = run_once(programs[name], environment)
            # The first run of each reads its files from the disk, and compiles its modules.
            if run:
                taken[name].append(one)
    say(f"seconds, {runs} runs each")
    rows = []
    for name, each in taken.items():
        walls = [one.wall_s for one in each]
        row = (statistics.median(walls), min(walls), max(walls), statistics.stdev(walls) if runs > 1 else 0.0)
        cpu, peak = (statistics.median(getattr(one, what) for one in each) for what in ("cpu_s", "peak_mb"))
        rows.append((name, *(f"{value:.3f}" for value in (*row, cpu)), f"{peak:.1f}"))
    say(Table(("", "median", "min", "max", "stdev", "cpu", "peak MB"), tuple(rows), left=1).text())

    def ratio(what: str, of: Callable[[Iterable[float]], float] = statistics.median) -> float:
        edge, bare = (of(getattr(one, what) for one in each) for each in taken.values())
        return edge / bare if bare else 0.0

    say(
        f"ratio of medians {ratio('wall_s'):.2f}, of minima {ratio('wall_s', min):.2f}, of processor time "
        f"{ratio('cpu_s'):.2f}, of memory {ratio('peak_mb'):.2f}; the targets are {TIME_TARGET} for time and "
        f"{MEMORY_TARGET} for memory"
    )
    if verbose:
        words = programs["edge predict"][len(edge_command()) :]
        programs["edge predict"] = [sys.executable, "-m", "edge_cli", *words]
        for title, command in programs.items():
            say(f"\nimports of {title}, own time by package (with -X importtime, which slows them)")
            for package, own_ms in _imports(command, environment)[:12]:
                say(f"{own_ms:8.1f} ms  {package}")
    return ratio("wall_s"), ratio("peak_mb")


def with_bytecode(folder: Path) -> dict[str, str]:
    """This process's environment, but that bytecode is kept in `folder`, whatever it says of it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder)}


def run_once(command: list[str], environment: Mapping[str, str]) -> Run:
    """Run it to its end; raises CalledProcessError where that is no success."""
    with TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, env=environment
        )
        if not hasattr(os, "wait4"):
            code, run = process.wait(), Run(time.perf_counter() - start)
        else:
            _, status, used = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - start
            run = Run(wall_s, used.ru_utime + used.ru_stime, megabytes(used.ru_maxrss))
            code = process.returncode = os.waitstatus_to_exitcode(status)
        if code:
            said.seek(0)
            raise subprocess.CalledProcessError(code, command, stderr=said.read().decode(errors="replace"))
    return run


def _imports(command: list[str], environment: Mapping[str, str]) -> list[tuple[str, float]]:
    """Milliseconds spent in each top-level package's own modules, most first."""
    timed = [command[0], "-X", "importtime", *command[1:]]
    done = subprocess.run(timed, capture_output=True, text=True, check=True, env=environment)
    own: dict[str, float] = defaultdict(float)
    for line in done.stderr.splitlines():
        fields = line.removeprefix("import time:").split("|")
        if line.startswith("import time:") and len(fields) == 3 and fields[0].strip().isdigit():
            own[fields[2].strip().partition(".")[0]] += int(fields[0]) / 1000
    return sorted(own.items(), key=lambda pair: -pair[1])


if __name__ == "__main__":
    sys.exit(main())
