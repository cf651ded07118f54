"""Temperature, clock and throttling before, during and after a benchmark; what can't be read is None."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Self

from edge_benchmarks.plain_data import PlainData
from edge_runtime import Sensors, read_sensors, read_throttling

INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class Reading(PlainData):
    """One look at the machine; `throttled` is what its firmware says holds it back now, empty for nothing."""

    temperature_c: float | None = None
    clock_mhz: int | None = None
    throttled: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Series(PlainData):
    """What many looks at one sensor saw."""

    min: float
    mean: float
    max: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Self | None:
        """Of all values that could be read; None where there are none."""
        known = [value for value in values if value is not None]
        return cls(min(known), statistics.fmean(known), max(known), len(known)) if known else None


@dataclass(frozen=True, slots=True)
class Meanwhile(PlainData):
    """What one look a second saw."""

    temperature_c: Series | None = None
    clock_mhz: Series | None = None


@dataclass(frozen=True, slots=True)
class Conditions(PlainData):
    """The machine before, while and after it was measured."""

    before: Reading
    during: Meanwhile
    after: Reading


class Monitor:
    """Watches the machine between `with` and its end, from a thread that sleeps nearly always.

    `root` stands for `/`, so that a machine can be described by a folder.
    """

    def __init__(self, root: Path = Path("/"), *, interval_s: float = INTERVAL_S) -> None:
        self._root = root
        self._interval_s = interval_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._seen: list[Sensors] = []
        self._throttled: tuple[str, ...] | None = None
        self._asked_s = -inf
        self._before: Reading | None = None
        self._after: Reading | None = None

    def __enter__(self) -> Self:
        earlier = read_throttling(self._root)
        self._known = set(earlier.since_start) if earlier else set()
        self._before = self._read()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._after = self._read()

    @property
    def sensors(self) -> Sequence[Sensors]:
        """What was seen so far, a look a second."""
        return self._seen

    def throttled(self) -> tuple[str, ...] | None:
        """What holds the machine back, asked for at most once a second; to be called while nothing is timed.

        On some boards that takes a command. Reasons that came up and went since the look before count as well: the
        firmware keeps them until the board is started anew.
        """
        if time.monotonic() - self._asked_s >= self._interval_s:
            self._throttled = self._read_throttling()
            self._asked_s = time.monotonic()
        return self._throttled

    def forget(self) -> None:
        """Let nothing that came up until now count for what is measured next."""
        self._read_throttling()
        self._asked_s = -inf

    def conditions(self) -> Conditions:
        """What was seen; to be called after the end."""
        assert self._before is not None and self._after is not None
        temperature = Series.of([seen.temperature_c for seen in self._seen])
        clock = Series.of([seen.clock_mhz for seen in self._seen])
        return Conditions(self._before, Meanwhile(temperature, clock), self._after)

    def _read_throttling(self) -> tuple[str, ...] | None:
        throttling = read_throttling(self._root)
        if throttling is None:
            return None
        new = tuple(what for what in throttling.since_start if what not in self._known)
        self._known |= set(throttling.since_start)
        return tuple(dict.fromkeys((*throttling.now, *new)))

    def _read(self) -> Reading:
        sensors = read_sensors(self._root)
        return Reading(sensors.temperature_c, sensors.clock_mhz, self._read_throttling())

    def _follow(self) -> None:
        while not self._ended.wait(self._interval_s):
            self._seen.append(read_sensors(self._root))
