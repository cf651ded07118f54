"""Temperature, clock and throttling before, during and after a benchmark; what can't be read is None."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edge_runtime import Sensors, read_sensors, read_throttling

INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the machine; `throttled` is what its firmware says holds it back now, empty for nothing."""

    temperature_c: float | None = None
    clock_mhz: int | None = None
    throttled: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """As the report carries it."""
        return {**asdict(self), "throttled": None if self.throttled is None else list(self.throttled)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        throttled = value["throttled"]
        return cls(value["temperature_c"], value["clock_mhz"], None if throttled is None else tuple(throttled))


@dataclass(frozen=True, slots=True)
class Series:
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
class Conditions:
    """The machine before, while and after it was measured; sensors are read once a second meanwhile."""

    before: Reading
    after: Reading
    temperature_c: Series | None = None
    clock_mhz: Series | None = None

    def to_json(self) -> dict[str, Any]:
        """As the report carries it."""
        return {
            "before": self.before.to_json(),
            "during": {
                "temperature_c": None if self.temperature_c is None else asdict(self.temperature_c),
                "clock_mhz": None if self.clock_mhz is None else asdict(self.clock_mhz),
            },
            "after": self.after.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        temperature, clock = (value["during"][name] for name in ("temperature_c", "clock_mhz"))
        return cls(
            Reading.from_json(value["before"]),
            Reading.from_json(value["after"]),
            None if temperature is None else Series(**temperature),
            None if clock is None else Series(**clock),
        )


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
        self._asked_s = -interval_s
        self._before: Reading | None = None
        self._after: Reading | None = None

    def __enter__(self) -> Self:
        earlier = read_throttling(self._root)
        self._known_before = frozenset(earlier.since_start) if earlier else frozenset()
        self._before = self._read()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._after = self._read()

    @property
    def sensors(self) -> Sequence[Sensors]:
        """What was seen so far, a look a second."""
        return self._seen

    def throttled(self) -> tuple[str, ...] | None:
        """What holds the machine back, asked for at most once a second; to be called while nothing is timed.

        On some boards that takes a command. Reasons that came up since the benchmark began count as well.
        """
        if time.monotonic() - self._asked_s >= self._interval_s:
            self._throttled = self._read_throttling()
            self._asked_s = time.monotonic()
        return self._throttled

    def conditions(self) -> Conditions:
        """What was seen; to be called after the end."""
        assert self._before is not None and self._after is not None
        return Conditions(
            self._before,
            self._after,
            Series.of([seen.temperature_c for seen in self._seen]),
            Series.of([seen.clock_mhz for seen in self._seen]),
        )

    def _read_throttling(self) -> tuple[str, ...] | None:
        throttling = read_throttling(self._root)
        if throttling is None:
            return None
        new = tuple(what for what in throttling.since_start if what not in self._known_before)
        return tuple(dict.fromkeys((*throttling.now, *new)))

    def _read(self) -> Reading:
        sensors = read_sensors(self._root)
        return Reading(sensors.temperature_c, sensors.clock_mhz, self._read_throttling())

    def _follow(self) -> None:
        while not self._ended.wait(self._interval_s):
            self._seen.append(read_sensors(self._root))
