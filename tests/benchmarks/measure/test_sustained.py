"""Minutes without a pause, on a clock of our own."""

from __future__ import annotations

import json

import pytest

from edge_benchmarks.measure.sustained import Sustained, bucket_length_s, measure_sustained
from edge_runtime import Sensors


class Machine:
    """A machine whose calls take longer the longer it works, and whose clock only they move."""

    def __init__(self, first_ms: float = 100.0, slower_each_minute: float = 0.1) -> None:
        self.now_s = 50.0
        self.first_ms, self.slower = first_ms, slower_each_minute
        self.sensors: list[Sensors] = []

    def clock(self) -> float:
        return self.now_s

    def turn(self, turn_s: float, least_runs: int) -> list[float]:
        made: list[float] = []
        start = self.now_s
        while self.now_s < start + turn_s or len(made) < least_runs:
            minute = int((self.now_s - 50) // 60)
            made.append(self.first_ms * (1 + self.slower * minute))
            self.now_s += made[-1] / 1000
        self.sensors.append(Sensors(40.0 + minute, 1800 - 100 * minute))
        return made


def run(machine: Machine, seconds: float) -> Sustained:
    return measure_sustained(machine.turn, seconds, lambda: machine.sensors, clock=machine.clock)


def test_ten_minutes_are_ten_buckets_and_the_slowdown_from_the_first_to_the_last() -> None:
    found = run(Machine(), 600)
    assert len(found.buckets) == 10
    assert [bucket.p50_ms for bucket in found.buckets] == pytest.approx([100 + 10 * minute for minute in range(10)])
    assert found.slowdown == pytest.approx(0.9)
    assert found.p90_slowdown == pytest.approx(0.9)
    assert all(bucket.seconds == pytest.approx(60, abs=0.3) for bucket in found.buckets)
    assert [bucket.start_s for bucket in found.buckets] == pytest.approx([60 * i for i in range(10)], abs=0.5)
    # Each minute has the sensors of that minute; calls that run over its end take the next one's first look.
    assert [round(bucket.temperature_c or 0) for bucket in found.buckets] == [40 + minute for minute in range(10)]
    assert [round((bucket.clock_mhz or 0) / 100) for bucket in found.buckets] == [18 - minute for minute in range(10)]


@pytest.mark.parametrize(
    ("seconds", "lengths"),
    [(6, [1] * 6), (90, [15] * 6), (120, [60, 60]), (200, [60, 60, 80]), (160, [60, 60, 40])],
)
def test_what_is_left_of_a_minute_is_a_bucket_where_it_is_half_of_one(seconds: float, lengths: list[float]) -> None:
    found = run(Machine(first_ms=10.0), seconds)
    assert [bucket.seconds for bucket in found.buckets] == pytest.approx(lengths, abs=0.1)
    assert sum(bucket.n for bucket in found.buckets) == pytest.approx(seconds * 100, rel=0.2)


def test_a_call_longer_than_a_bucket_is_a_bucket_of_its_own() -> None:
    found = run(Machine(first_ms=2500.0, slower_each_minute=0.0), 6)
    assert [bucket.n for bucket in found.buckets] == [1, 1, 1]
    assert found.slowdown == 0.0


def test_a_minute_is_the_bucket_of_long_runs_alone() -> None:
    assert bucket_length_s(600) == bucket_length_s(120) == 60
    assert bucket_length_s(60) == 10


def test_it_survives_json() -> None:
    found = run(Machine(), 240)
    assert Sustained.from_json(json.loads(json.dumps(found.to_json()))) == found
