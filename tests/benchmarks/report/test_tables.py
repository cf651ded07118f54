"""The tables: every row a cell for every column, and columns only where they tell something."""

from __future__ import annotations

import pytest

from bench_reports import make_report, make_row, noisy_timings
from edge_benchmarks import cost_table, describe_conditions, latency_table, milliseconds, sustained_table
from edge_benchmarks.machine.thermal import Conditions, Meanwhile, Reading, Series
from edge_benchmarks.measure.sustained import Bucket, Sustained
from edge_benchmarks.report.tables import markdown_text, short_names
from edge_runtime import Timings


def test_a_cell_for_every_column_fastest_first() -> None:
    report = make_report([make_row("slow", 20.0), make_row("fast", 2.0)])
    for table in (latency_table(report), cost_table(report)):
        assert [row[0] for row in table.rows] == ["fast", "slow"]
        assert all(len(row) == len(table.columns) and all(row) for row in table.rows)
    assert "images/s\n(batch 8)" in latency_table(report).columns


def test_columns_that_say_the_same_everywhere_are_left_out() -> None:
    plain = latency_table(make_report([make_row("a"), make_row("b")])).columns
    assert not {"engine", "threads", "accuracy", "note"} & set(plain)
    rows = [make_row("a", accuracy=0.9), make_row("a", engine="torch", threads=2, throttled=("throttled",))]
    full = latency_table(make_report(rows))
    assert {"engine", "threads", "accuracy", "note"} <= set(full.columns)
    assert full.columns[: full.left] == ("model", "precision", "engine", "threads", "backbone", "input px")


def test_another_engine_is_told_by_how_many_times_as_fast_it_is() -> None:
    rows = [
        make_row("a", latency=Timings(((6.0,) * 10,) * 5)),
        make_row("a", engine="openvino", latency=Timings(((4.0,) * 10,) * 5)),
        make_row("a", engine="openvino", threads=2, latency=Timings(((2.0,) * 10,) * 5)),
    ]
    table = latency_table(make_report(rows))
    at, engine = table.columns.index("× as fast as\nonnxruntime"), table.columns.index("engine")
    # The one on two threads has nothing beside it.
    assert [(row[engine], row[at]) for row in table.rows] == [
        ("openvino", "–"),
        ("openvino", "1.50"),
        ("onnxruntime", "–"),
    ]
    assert "× as fast as\nonnxruntime" not in latency_table(make_report(rows[:1])).columns


def test_what_is_not_known_is_a_dash() -> None:
    report = make_report([make_row("a", preprocess=None, end_to_end=None, gflops=None, latency=Timings.of([1.0]))])
    columns, (cells,) = cost_table(report).columns, cost_table(report).rows
    assert cells[columns.index("GFLOPs")] == "–"
    assert "decode +\nresize ms" not in columns
    latency = latency_table(report)
    assert latency.rows[0][latency.columns.index("p99 ms")] == "–"


def test_noisy_throttled_and_unstable_rows_are_marked() -> None:
    row = make_row(latency=noisy_timings(5.0, drift=0.5), throttled=("under-voltage",), stable=False)
    assert row.noisy
    table = latency_table(make_report([row]))
    note = table.rows[0][table.columns.index("note")]
    assert note.startswith("throttled, noisy (") and note.endswith("unstable")
    assert make_row(latency=noisy_timings(5.0, spread=0.02), throttled=()).marks == ()


def test_sustained_minutes_are_rows_of_their_own() -> None:
    sustained = Sustained(
        (Bucket(0.0, 60.0, 9.0, 10.0, 5000, 55.5, 1800.0), Bucket(60.0, 30.0, 12.0, 14.0, 4000, None, None))
    )
    table = sustained_table(make_report([make_row("a", sustained=sustained), make_row("b")]))
    assert [row[:2] for row in table.rows] == [("a", "fp32"), ("a", "fp32")]
    assert table.rows[0][2:] == ("0:00", "9.00", "10.00", "5000", "56", "1800")
    assert table.rows[1][2:] == ("1:00", "12.00", "14.00", "4000", "–", "–")


@pytest.mark.parametrize(
    ("models", "names"),
    [
        (["runs/a/model.onnx", "runs/a/model-int8.onnx"], ["model.onnx", "model-int8.onnx"]),
        (["runs/a/model.onnx", "runs/b/model.onnx"], ["a/model.onnx", "b/model.onnx"]),
        (["resnet18", "vgg16"], ["resnet18", "vgg16"]),
        (["model.onnx", "./x/model.onnx"], ["model.onnx", "x/model.onnx"]),
    ],
)
def test_names_are_as_short_as_they_can_be(models: list[str], names: list[str]) -> None:
    assert list(short_names([make_row(model) for model in models]).values()) == names


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "0.012"), (0.5, "0.500"), (1.234, "1.23"), (99.99, "99.99"), (123.4, "123.4"), (5432.1, "5432")],
)
def test_milliseconds_keep_three_digits(value: float, text: str) -> None:
    assert milliseconds(value) == text


def test_conditions_are_said_as_far_as_they_are_known() -> None:
    assert describe_conditions(Conditions(Reading(), Meanwhile(), Reading())) == []
    hot = Conditions(
        Reading(50.0, 1800),
        Meanwhile(Series(50.0, 70.0, 81.6, 9), Series(1000.0, 1400.0, 1800.0, 9)),
        Reading(62.0, 1500),
    )
    assert describe_conditions(hot) == [
        "50 °C before, up to 82 °C, 62 °C after",
        "clock 1800 MHz before, 1000 to 1800 MHz, 1500 MHz after",
    ]
    # A run shorter than the first look.
    assert describe_conditions(Conditions(Reading(50.0, None), Meanwhile(), Reading(62.0, None))) == [
        "50 °C before, up to 62 °C, 62 °C after"
    ]


def test_markdown_has_the_machine_and_a_cell_for_every_column() -> None:
    text = markdown_text(make_report([make_row("a|b", accuracy=0.9), make_row("c")]))
    assert text.startswith("    processor") and "onnxruntime" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 8
    assert {line.replace("\\|", "").count("|") for line in lines[:4]} == {lines[0].count("|")}
    assert "a\\|b" in text and "(batch 8)" in lines[0]
