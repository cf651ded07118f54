"""A command as a fresh process: its time, its processor time, and the most memory it and its children hold."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_runtime import EdgeError, read_meminfo

INTERVAL_S = 0.1
# Reading a large process's memory map takes some milliseconds: at most a twentieth of one core goes there.
SHARE_OF_A_CORE = 0.05
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Watched:
    """A finished process: wall time from its start to its end, and what it wrote on stdout.

    `cpu_seconds` is the processor time of it and its children, which other work on the machine stretches less.
    `peak_bytes` is the most resident memory the process and its children held together, pages they share counted
    once (the kernel's proportional set size); None where the system does not say.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int | None
    stdout: str


def watch(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Watched:
    """Run `command` to its end, in this process's environment or another, and watch its memory ten times a second.

    Raises:
        EdgeError: it failed; the message ends with what it said last on stderr.
    """
    start, cpu_start = time.perf_counter(), _children_cpu_seconds()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    ) as process:
        ended = threading.Event()
        peaks = [0]
        watcher = threading.Thread(target=_follow, args=(process.pid, ended, peaks), daemon=True)
        watcher.start()
        try:
            stdout, stderr = process.communicate()
        except BaseException:
            process.kill()
            raise
        finally:
            ended.set()
            seconds = time.perf_counter() - start
            watcher.join()
    if process.returncode:
        last = "\n".join(stderr.strip().splitlines()[-2:]) or "it said nothing"
        raise EdgeError(f"{' '.join(command)} ended with {process.returncode}: {last}")
    return Watched(seconds, _children_cpu_seconds() - cpu_start, peaks[0] or None, stdout)


def _children_cpu_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _follow(pid: int, ended: threading.Event, peaks: list[int]) -> None:
    pause = INTERVAL_S
    while not ended.wait(pause):
        start = time.perf_counter()
        # The first process's own high-water mark catches what lies between two looks.
        held = sum(_resident_bytes(each) for each in _family(pid))
        peaks[0] = max(peaks[0], held, read_meminfo(_PROC / str(pid) / "status").get("VmHWM", 0))
        pause = max(INTERVAL_S, (time.perf_counter() - start) / SHARE_OF_A_CORE)


def _family(pid: int) -> list[int]:
    """The process and its descendants, those that are there now."""
    family = [pid]
    # The list grows while it is walked: children's children follow.
    for member in family:
        family += _children(member)
    return family


def _resident_bytes(pid: int) -> int:
    """What a process holds, pages shared with n processes counted as an n-th; 0 when it has gone."""
    shared_out = read_meminfo(_PROC / str(pid) / "smaps_rollup").get("Pss")
    return shared_out or read_meminfo(_PROC / str(pid) / "status").get("VmRSS", 0)


def _children(pid: int) -> list[int]:
    found = []
    with suppress(OSError):
        for task in (_PROC / str(pid) / "task").iterdir():
            with suppress(OSError):
                found += [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
    return found
