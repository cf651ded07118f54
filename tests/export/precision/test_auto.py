"""`--precision auto`: the fastest within the budget on this machine, and int8 never where it is slower."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from edge_export.precision.auto import Choice, choose
from edge_export.precision.turns import Call, Latency, Timer, time_by_turns
from quantized_nets import batches, colours, point, write_easy, write_hopeless, write_net


def steady(*medians_ms: float) -> Timer:
    """A timer that finds these latencies, whatever is called; fp32, int8, int8-mixed."""

    def timer(calls: Sequence[Call]) -> list[Latency]:
        for call in calls:
            call()
        return [Latency(((ms, ms, ms),) * 20) for ms in medians_ms[: len(calls)]]

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
    assert [(row.accuracy.n, row.drop_points) for row in choice.rows if row.accuracy] == [(48, 0.0)] * 3
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


def test_a_net_of_two_layers_has_nothing_to_mix(tmp_path: Path) -> None:
    choice = auto(write_net(tmp_path / "fp32.onnx", [point(np.eye(3))]), tmp_path, steady(10, 4))
    rows = {row.precision: row for row in choice.rows}
    assert rows["int8-mixed"].why == "no layer is left to quantise"
    assert choice.precision == "int8"


def test_real_clocks_time_every_candidate_alike(tmp_path: Path) -> None:
    def timer(calls: Sequence[Call]) -> list[Latency]:
        return time_by_turns(calls, least_rounds=4, least_s=0.01)

    choice = auto(write_easy(tmp_path / "fp32.onnx"), tmp_path, timer)
    runs = {row.latency.runs for row in choice.rows if row.latency}
    assert len(runs) == 1
    assert runs.pop() >= 12
    assert all(0 < row.latency.p50_ms <= row.latency.p90_ms for row in choice.rows if row.latency)


def test_contestants_take_turns() -> None:
    order: list[str] = []
    calls = [lambda: order.append("a"), lambda: order.append("b")]
    first, second = time_by_turns(calls, least_rounds=3, least_s=0)
    assert first.runs == second.runs == 9
    assert "".join(order[10:]) == ("a" * 4 + "b" * 4) * 3


def test_a_timing_ends_when_its_time_is_up() -> None:
    (slow,) = time_by_turns([lambda: None], least_rounds=10**9, most_s=0.02)
    assert slow.runs >= 3


def test_faster_on_average_but_not_in_most_rounds_is_noise() -> None:
    steady_ms = Latency(((10.0,),) * 20)
    moody = Latency((((5.0,),) * 11) + (((11.0,),) * 9))
    assert moody.p50_ms < steady_ms.p50_ms
    assert not moody.is_faster_than(steady_ms)
    assert Latency(((9.0,),) * 20).is_faster_than(steady_ms)
    assert not Latency(((9.9,),) * 20).is_faster_than(steady_ms)
