"""What else the machine did: from a /proc/stat of our own, and from the real one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_benchmarks.machine.other_load import UNKNOWN_BUSYNESS, Busyness, Meter

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@LINUX
def test_idle_stolen_and_others_are_told_apart(tmp_path: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    stat = tmp_path / "stat"
    stat.write_text("cpu 100 0 100 1000 50 0 0 10 0 0\n", encoding="ascii")
    meter = Meter(stat)
    # Two seconds of user time, one of the kernel, five idle, one waiting for the disk, three stolen.
    stat.write_text(
        f"cpu {100 + 2 * ticks} 0 {100 + ticks} {1000 + 5 * ticks} {50 + ticks} 0 0 {10 + 3 * ticks} 0 0\n",
        encoding="ascii",
    )
    found = meter.read()
    assert found.stolen_s == pytest.approx(3)
    # Less what this process itself has computed since.
    assert found.others_s == pytest.approx(3, abs=0.5)


@LINUX
def test_another_process_that_computes_is_seen() -> None:
    def others_s() -> float:
        meter = Meter()
        time.sleep(0.3)
        found = meter.read().others_s
        assert found is not None
        return found

    command = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(command) as process:
        try:
            # It gets a core, or its share of one where the machine is full.
            assert any(others_s() > 0.1 for _ in range(10))
        finally:
            process.kill()


def test_own_work_is_not_anothers(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu 0 0 0 0 0 0 0 0 0 0\n", encoding="ascii")
    meter = Meter(stat)
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    found = meter.read()
    assert found.others_s is not None and found.others_s <= -0.05
    assert found.others_share == 0.0


@pytest.mark.parametrize("text", ["", "cpu 1 2\n", "intr 1 2 3 4 5 6 7 8\n", "cpu a b c d e f g h\n"])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, text: str) -> None:
    (tmp_path / "stat").write_text(text, encoding="ascii")
    for path in (tmp_path / "stat", tmp_path / "gone"):
        found = Meter(path).read()
        assert (found.others_s, found.stolen_s, found.others_share, found.stolen_share) == (None, None, None, None)


def test_the_total_of_several_stretches() -> None:
    total = Busyness.total([Busyness(2.0, 0.5, 0.1), Busyness(6.0, 1.5, 0.3)])
    assert (total.others_share, total.stolen_share) == (pytest.approx(0.25), pytest.approx(0.05))
    assert Busyness.from_json(total.to_json()) == total
    assert Busyness.total([Busyness(2.0, 0.5, 0.1), Busyness(2.0, None, None)]).others_s is None
    assert UNKNOWN_BUSYNESS.others_share is None
