"""What else the processor did while this process worked: other programs, and time the hypervisor gave to others.

It explains a noisy figure, and shows a benchmark that was never alone on the machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from edge_benchmarks.plain_data import PlainData

_STAT = Path("/proc/stat")
# The columns of its first line: user nice system idle iowait irq softirq steal; guests are in user and nice already.
_IDLE, _STEAL, _COLUMNS = (3, 4), 7, 8


@dataclass(frozen=True, slots=True)
class Busyness(PlainData):
    """Core-seconds of a stretch of time: all there were, those other programs used, those the hypervisor took away.

    All are of the whole machine, also where this process may use a part of it alone. The last two are None where the
    system does not say.
    """

    computed: ClassVar = {"others_share": "others_share", "stolen_share": "stolen_share"}

    capacity_s: float
    others_s: float | None
    stolen_s: float | None

    @property
    def others_share(self) -> float | None:
        """The share of the machine that other programs used, in 0..1."""
        return self._share(self.others_s)

    @property
    def stolen_share(self) -> float | None:
        """The share of the machine that the hypervisor took away, in 0..1."""
        return self._share(self.stolen_s)

    def _share(self, spent_s: float | None) -> float | None:
        # The kernel counts in hundredths of a second, so a short stretch may come out above all there was, or below 0.
        return None if spent_s is None or not self.capacity_s else min(1.0, max(0.0, spent_s / self.capacity_s))

    @classmethod
    def total(cls, stretches: Iterable[Busyness]) -> Busyness:
        """All of them together: one stretch is too short for the clock of the kernel, which ticks in hundredths."""
        stretches = tuple(stretches)
        others = [each.others_s for each in stretches if each.others_s is not None]
        stolen = [each.stolen_s for each in stretches if each.stolen_s is not None]
        known = bool(stretches) and len(others) == len(stolen) == len(stretches)
        return cls(
            sum(each.capacity_s for each in stretches), sum(others) if known else None, sum(stolen) if known else None
        )


UNKNOWN_BUSYNESS = Busyness(0.0, None, None)


class Meter:
    """Measures from when it is made."""

    def __init__(self, stat: Path = _STAT) -> None:
        self._stat = stat
        self._wall_s, self._own_s, self._ticks = time.perf_counter(), time.process_time(), _read_ticks(stat)

    def read(self) -> Busyness:
        """What happened since."""
        capacity_s = (time.perf_counter() - self._wall_s) * (os.cpu_count() or 1)
        own_s = time.process_time() - self._own_s
        ticks = _read_ticks(self._stat)
        if ticks is None or self._ticks is None:
            return Busyness(capacity_s, None, None)
        spent_s = [(now - then) / os.sysconf("SC_CLK_TCK") for now, then in zip(ticks, self._ticks, strict=True)]
        idle_s, stolen_s = sum(spent_s[column] for column in _IDLE), spent_s[_STEAL]
        return Busyness(capacity_s, sum(spent_s) - idle_s - stolen_s - own_s, stolen_s)


def _read_ticks(stat: Path) -> list[int] | None:
    try:
        with stat.open(encoding="ascii") as file:
            name, *numbers = file.readline().split()
        ticks = [int(number) for number in numbers[:_COLUMNS]]
    except (OSError, ValueError):
        return None
    return ticks if name == "cpu" and len(ticks) == _COLUMNS else None
