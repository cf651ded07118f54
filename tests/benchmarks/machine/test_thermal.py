"""Temperature, clock and throttling, read from a folder that stands for a Raspberry Pi."""

from __future__ import annotations

import json
import time
from pathlib import Path

from edge_benchmarks.machine.thermal import Conditions, Meanwhile, Monitor, Reading, Series

TEMPERATURE = "sys/class/thermal/thermal_zone0/temp"
CLOCK = "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"


def write(root: Path, **files: str) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def pi(root: Path) -> Path:
    write(root, **{"sys/class/thermal/thermal_zone0/type": "cpu-thermal", TEMPERATURE: "50000", CLOCK: "1800000"})
    write(root, **{THROTTLED: "0"})
    return root


def test_before_during_and_after(tmp_path: Path) -> None:
    root = pi(tmp_path)
    with Monitor(root, interval_s=0.02) as monitor:
        write(root, **{TEMPERATURE: "80000", CLOCK: "1000000"})
        while len(monitor.sensors) < 3:
            time.sleep(0.01)
        write(root, **{TEMPERATURE: "60000", CLOCK: "1500000"})
    found = monitor.conditions()
    assert found.before == Reading(50.0, 1800, ())
    assert found.after == Reading(60.0, 1500, ())
    assert found.during.temperature_c is not None and found.during.temperature_c.max == 80.0
    assert found.during.clock_mhz is not None and found.during.clock_mhz.min == 1000 and found.during.clock_mhz.n >= 3
    assert Conditions.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_throttling_is_seen_now_and_also_when_it_was_over_before_anyone_looked(tmp_path: Path) -> None:
    root = pi(tmp_path)
    # Under-voltage happened once since the board was started, before this benchmark.
    write(root, **{THROTTLED: "10000"})
    with Monitor(root, interval_s=0.0) as monitor:
        assert monitor.throttled() == ()
        write(root, **{THROTTLED: "10004"})
        assert monitor.throttled() == ("throttled",)
        write(root, **{THROTTLED: "90000"})
        assert monitor.throttled() == ("soft temperature limit",)
        # The firmware keeps it until the board is started anew: what is measured next was not held back.
        assert monitor.throttled() == ()


def test_what_came_up_while_nothing_was_measured_is_forgotten(tmp_path: Path) -> None:
    root = pi(tmp_path)
    with Monitor(root, interval_s=1000) as monitor:
        assert monitor.throttled() == ()
        write(root, **{THROTTLED: "40000"})
        monitor.forget()
        assert monitor.throttled() == ()
        write(root, **{THROTTLED: "c0004"})
        monitor.forget()
        assert monitor.throttled() == ("throttled",)


def test_throttling_is_asked_for_once_a_second_at_most(tmp_path: Path) -> None:
    root = pi(tmp_path)
    with Monitor(root, interval_s=1000) as monitor:
        assert monitor.throttled() == ()
        write(root, **{THROTTLED: "4"})
        assert monitor.throttled() == ()


def test_what_cannot_be_read_is_nothing(tmp_path: Path) -> None:
    with Monitor(tmp_path, interval_s=0.01) as monitor:
        assert monitor.throttled() is None
        time.sleep(0.05)
    found = monitor.conditions()
    assert found == Conditions(Reading(), Meanwhile(), Reading())
    assert Conditions.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_series_leaves_out_what_was_not_read() -> None:
    assert Series.of([None, 1.0, 3.0, None]) == Series(1.0, 2.0, 3.0, 2)
    assert Series.of([None]) is None
