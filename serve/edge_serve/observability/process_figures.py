"""What a worker takes of the machine, as figures that those of all workers add up to.

prometheus-client's own collector of such figures looks at one process, and whichever worker is asked answers.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Protocol

from prometheus_client import Counter, Gauge


class _Metrics(Protocol):
    def counter(self, name: str, text: str, *labels: str) -> Counter: ...

    def gauge(self, name: str, text: str, *labels: str) -> Gauge: ...


class ProcessFigures:
    """This process among the workers: `metrics` make the figures, which are as of the last `refresh`."""

    def __init__(self, metrics: _Metrics) -> None:
        self._workers = metrics.gauge("edge_workers", "Workers that live")
        self._cpu = metrics.counter("process_cpu_seconds", "Processor seconds of all workers, those that died included")
        self._memory = metrics.gauge("process_resident_memory_bytes", "Memory of all workers")
        self._spent_s = 0.0

    def refresh(self) -> None:
        """Take them anew."""
        self._workers.set(1)
        spent_s = time.process_time()
        self._cpu.inc(spent_s - self._spent_s)
        self._spent_s = spent_s
        self._memory.set(_resident_bytes())


def _resident_bytes() -> int:
    """0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
