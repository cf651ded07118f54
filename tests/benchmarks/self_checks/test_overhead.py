"""The bench's honesty, as its script shows it: on a tiny model, and on findings of our own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tiny_model import write_tiny_model

SCRIPTS = Path(__file__).parents[3] / "benchmarks" / "self_checks"


@pytest.fixture
def overhead(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import overhead  # type: ignore[import-not-found]

    return overhead


def run_script(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "overhead.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_both_sides_are_measured_and_compared(tmp_path: Path) -> None:
    model, image = write_tiny_model(tmp_path / "tiny.onnx", size=256), tmp_path / "red.jpg"
    Image.new("RGB", (320, 240), "red").save(image)
    done = run_script(
        "--model", str(model), "--image", str(image), "--threads", "1", "--seconds", "0.1", "--pairs", "1"
    )
    assert done.returncode == 0, done.stderr
    pairs = re.findall(r"bench p50 ([\d.]+) ms \(n (\d+)\), session.run by hand ([\d.]+) ms \(n (\d+)\)", done.stdout)
    assert len(pairs) == 1
    for bench, n, bare, other in pairs:
        assert float(bench) > 0 and float(bare) > 0 and min(int(n), int(other)) >= 100
    assert re.search(r"an empty call: [\d.]+ µs recorded, [\d.]+ µs between", done.stdout)


def test_the_clock_and_the_loop_cost_next_to_nothing_beside_a_model(overhead: Any) -> None:
    recorded_us, between_us = overhead.measure_own_share()
    # A model's call is far more than two looks at a clock, and the best of many turns is not the neighbours' doing.
    work = [time_ms for _ in range(5) for time_ms in overhead.time_calls(lambda: sorted(range(10_000)), 0.02)]
    assert 0 < recorded_us < 100 * min(work)
    assert between_us > 0


@pytest.mark.parametrize(
    ("recorded_us", "between_us", "bench_ms", "unmet"),
    [
        (0.1, 0.3, 1.00, []),
        # 30 µs are much beside 1 ms, and nothing beside 10 ms.
        (10.0, 20.0, 1.00, ["adds 30.0 µs"]),
        (10.0, 20.0, 10.2, []),
        # Less than 20 µs are allowed beside anything.
        (9.0, 9.0, 0.10, []),
        (0.1, 0.3, 1.05, ["+5.0%"]),
        (0.1, 0.3, 0.95, ["-5.0%"]),
    ],
)
def test_what_is_promised(
    overhead: Any, recorded_us: float, between_us: float, bench_ms: float, unmet: list[str]
) -> None:
    bare_ms = round(bench_ms, 0) or 0.1
    findings = overhead.Findings(recorded_us, between_us, (overhead.Pair(bench_ms, bare_ms, (100, 100)),))
    found = findings.unmet()
    assert len(found) == len(unmet)
    assert all(part in line for part, line in zip(unmet, found, strict=True))
    assert [line for line in overhead.describe(findings) if line.startswith("not kept")] == [
        f"not kept: {line}" for line in found
    ]


def test_one_odd_pair_of_processes_decides_nothing(overhead: Any) -> None:
    pairs = [overhead.Pair(bench, 1.0, (100, 100)) for bench in (1.01, 1.30, 0.99)]
    assert overhead.Findings(0.1, 0.3, tuple(pairs)).unmet() == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--model", "gone.onnx"), 2, "gone.onnx"),
        (("--seconds", "0"), 2, "--seconds"),
        (("--pairs", "0"), 2, "--pairs"),
    ],
)
def test_what_is_wrong_is_an_error_not_a_figure(
    refused: Callable[..., tuple[int, str, str]], words: tuple[str, ...], code: int, said: str
) -> None:
    found, stdout, stderr = refused("overhead.py", *words)
    assert found == code
    assert said in stderr and "µs" not in stdout
