"""`--precision auto`: the fastest within the budget on this machine, and int8 never where it is slower."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from edge_export.precision.auto import PLAN, Choice, Timer, choose, time_by_turns
from edge_runtime import Call, Plan, Timings
from quantized_nets import batches, colours, write_easy, write_hopeless, write_net


def steady(*medians_ms: float) -> Timer:
    """A timer that finds these latencies, whatever is called; fp32, int8, int8-mixed."""

    def timer(calls: Sequence[Call]) -> list[Timings]:
        for call in calls:
            call()
        return [Timings(((ms, ms, ms),) * 20) for ms in medians_ms[: len(calls)]]

    return timer


def auto(net: Path, folder: Path, timer: Timer, max_drop_points: float = 1.0) -> Choice:
    return choose(net, folder, [colours(8)[0]], batches(), max_drop_points, threads=1, timer=timer)


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ((10, 4, 5), "int8"),
        ((10, 12, 8), "int8-mixed"),
        ((10, 10.5, 11), "fp32"),
        # Two percent is the clock's mood.
        ((10, 9.8, 9.9), "fp32"),
    ],
)
def test_the_fastest_is_chosen_and_a_slower_int8_never(tmp_path: Path, times: tuple[float, ...], chosen: str) -> None:
    net = write_easy(tmp_path / "fp32.onnx")
    choice = auto(net, tmp_path, steady(*times))
    assert choice.precision == chosen
    assert choice.path == tmp_path / f"{chosen}.onnx"
    assert choice.path.is_file()
    assert [row.precision for row in choice.rows if row.chosen] == [chosen]
    assert (choice.int8 is None) == (chosen == "fp32")
    assert [(row.figure.n, row.drop_points) for row in choice.rows if row.figure] == [(48, 0.0)] * 3
    table = choice.table().splitlines()
    assert len(table) == 4
    assert sum(line.startswith("→") for line in table) == 1
    assert choice.to_json()["candidates"][1]["p50_ms"] == times[1]


def test_an_int8_over_budget_is_no_candidate_however_fast(tmp_path: Path) -> None:
    net = write_hopeless(tmp_path / "fp32.onnx", layers_after=0)
    choice = auto(net, tmp_path, steady(10, 1, 1))
    rows = {row.precision: row for row in choice.rows}
    assert rows["int8"].latency is None
    assert "points of top-1" in rows["int8"].why
    assert not (tmp_path / "int8.onnx").exists()
    assert "–" in choice.table()


def test_a_net_of_one_layer_has_nothing_to_mix(tmp_path: Path) -> None:
    only = write_net(tmp_path / "fp32.onnx", [], head=np.eye(3, dtype=np.float32) * 4)
    choice = auto(only, tmp_path, steady(10, 4))
    rows = {row.precision: row for row in choice.rows}
    assert rows["int8-mixed"].why == "no layer is left to quantise"
    assert choice.precision == "int8"


def test_real_clocks_time_every_candidate_alike(tmp_path: Path) -> None:
    def timer(calls: Sequence[Call]) -> Sequence[Timings]:
        return time_by_turns(calls, Plan(duration_s=0, rounds=4, least_runs=12))

    choice = auto(write_easy(tmp_path / "fp32.onnx"), tmp_path, timer)
    latencies = [row.latency for row in choice.rows if row.latency]
    assert len(latencies) == 3
    assert all(len(latency.turns_ms) >= 2 and latency.n >= 12 for latency in latencies)
    assert all(0 < latency.p50_ms <= latency.p90_ms for latency in latencies)
    assert choice.to_json()["candidates"][0]["runs"] == latencies[0].n


def test_candidates_are_warm_and_take_turns() -> None:
    order: list[str] = []
    calls = [lambda: order.append("a"), lambda: order.append("b")]
    first, second = time_by_turns(calls, Plan(duration_s=1e-9, rounds=3, least_runs=9))
    assert first.n == second.n == 9
    assert "".join(order) == "a" * 5 + "b" * 5 + ("a" * 4 + "b" * 4) * 3


def test_a_slow_board_is_timed_for_a_minute_at_most() -> None:
    assert PLAN.is_done(PLAN.most_durations * PLAN.duration_s, runs=3)
    assert PLAN.most_durations * PLAN.duration_s * 3 <= 60
    assert (PLAN.rounds, PLAN.turn_runs) == (20, 3)
    (slow,) = time_by_turns([lambda: None], Plan(duration_s=0.01, rounds=5, least_runs=10**6, most_durations=2))
    assert slow.n >= 3
