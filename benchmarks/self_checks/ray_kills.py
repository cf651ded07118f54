"""Kills: `edge predict --engine ray` with workers and drivers killed (SIGKILL) at random moments, to the last answer.

    python benchmarks/self_checks/ray_kills.py --data DIR [--model M] [--worker-kills 10] [--driver-kills 5] [--check]

One batch: its driver is killed so many times, each time the same command is given again, and meanwhile so many of its
workers are. In the end every picture must have one row, none a second. Ends with 1 where that is not so.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_batch import list_all
from edge_runtime import require_extra
from shared import check, default_model, edge_command, flags, say

LONGEST_S = 600


@dataclass(frozen=True, slots=True)
class Killed:
    """A batch to its end: kills that met a process, commands it took, and what is wrong with its rows."""

    workers: int
    drivers: int
    commands: int
    missing: int
    twice: int
    wrong: int

    @property
    def good(self) -> bool:
        """Whether every picture has one row, and no other."""
        return not (self.missing or self.twice or self.wrong)


def main() -> int:
    """Kill and count; 1 where a picture is missing, or has two rows."""
    parser = flags("a batch on Ray whose processes are killed", "model")
    parser.add_argument("--data", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--worker-kills", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--driver-kills", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    given = parser.parse_args()

    def measure(folder: Path) -> bool:
        require_extra("ray")
        model = given.model or default_model(folder)
        found = kill_batch(
            model,
            given.data,
            folder / "answers",
            worker_kills=given.worker_kills,
            driver_kills=given.driver_kills,
            moments=random.Random(given.seed),
        )
        say(f"{found}: {'every picture has one row' if found.good else 'NOT every picture has one row'}")
        return found.good

    given.check = True
    return check(given, measure)


def kill_batch(
    model: Path, data: Path, out: Path, *, worker_kills: int, driver_kills: int, moments: random.Random
) -> Killed:
    """Classify `data` into `out` with so many kills, and look at its rows."""
    command = [
        *edge_command(),
        "predict",
        "--engine",
        "ray",
        "--data",
        str(data),
        "--model",
        str(model),
        "--out",
        str(out),
    ]
    # On a busy machine workers that give way to all else, as Ray has it, would make it last.
    environment = {**os.environ, "RAY_worker_niceness": "0"}
    # A driver lives for some kills of workers, and then is killed itself; the last one ends.
    shares = [
        worker_kills // (driver_kills + 1) + (n < worker_kills % (driver_kills + 1)) for n in range(driver_kills + 1)
    ]
    workers = drivers = commands = 0
    for number, share in enumerate(shares):
        commands += 1
        log = out.parent / f"driver-{number}.log"
        with log.open("wb") as file:
            driver = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True, env=environment)
        for _ in range(share):
            workers += _kill_worker(driver, moments)
        if number < driver_kills:
            drivers += _kill_driver(driver, out, moments)
        code = driver.wait(LONGEST_S)
        if code not in (0, 1, -signal.SIGKILL):
            say(f"the command ended with {code}: {log.read_text(errors='replace')[-2000:]}")
    return Killed(workers, drivers, commands, *look_at_rows(out, data))


def look_at_rows(out: Path, data: Path) -> tuple[int, int, int]:
    """How many pictures have no row, how many two, and how many rows are of no picture."""
    from pyarrow import parquet

    rows = Counter(path for file in out.glob("*.parquet") for path in parquet.read_table(file)["path"].to_pylist())
    there = set(list_all([str(data)]).paths)
    return len(there - rows.keys()), sum(count > 1 for count in rows.values()), len(rows.keys() - there)


def _kill_worker(driver: subprocess.Popen[bytes], moments: random.Random) -> bool:
    """Kill a worker of the driver some time after there is one; whether it was there."""
    end = time.monotonic() + LONGEST_S
    while driver.poll() is None and time.monotonic() < end:
        if found := workers_of(driver.pid):
            time.sleep(moments.uniform(0, 2))
            victim = moments.choice(found)
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                return True
        time.sleep(0.1)
    return False


def _kill_driver(driver: subprocess.Popen[bytes], out: Path, moments: random.Random) -> bool:
    """Kill the driver some time after it has begun to write more answers; whether it was there."""
    before, end = len(list(out.glob("*.parquet"))), time.monotonic() + LONGEST_S
    while driver.poll() is None and time.monotonic() < end and len(list(out.glob("*.parquet"))) <= before:
        time.sleep(0.02)
    time.sleep(moments.uniform(0, 1))
    if driver.poll() is not None:
        return False
    # The driver alone: what becomes of its children is Ray's part.
    os.kill(driver.pid, signal.SIGKILL)
    return True


def workers_of(driver: int) -> Sequence[int]:
    """The processes below `driver` that answer or write, as Ray calls them."""
    parents: dict[int, int] = {}
    named: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                status = (entry / "stat").read_text(errors="replace")
                parents[int(entry.name)] = int(status.rpartition(")")[2].split()[1])
                title = (entry / "cmdline").read_bytes()
                if title.startswith((b"ray::MapWorker", b"ray::Write", b"ray::MapBatches")):
                    named.append(int(entry.name))
    return [worker for worker in named if driver in _above(worker, parents)]


def _above(process: int, parents: dict[int, int]) -> set[int]:
    above: set[int] = set()
    while (process := parents.get(process, 0)) and process not in above:
        above.add(process)
    return above


if __name__ == "__main__":
    sys.exit(main())
