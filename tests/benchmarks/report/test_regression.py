"""Two reports against each other: real changes are found, noise is not, and other machines are named."""

from __future__ import annotations

import pytest

from bench_reports import make_report, make_row, noisy_timings
from edge_benchmarks import Report, compare_reports
from edge_benchmarks.report.regression import Change
from edge_runtime import UsageError


def report(median_ms: float, *, seed: int, drift: float = 0.02, turns: int = 20) -> Report:
    return make_report([make_row(latency=noisy_timings(median_ms, drift=drift, seed=seed, turns=turns))])


def test_a_model_that_became_slower_is_a_regression_and_a_faster_one_is_not() -> None:
    old = make_report([make_row("a", 10.0), make_row("b", 10.0)])
    new = make_report([make_row("a", 12.0), make_row("b", 8.0)])
    found = compare_reports(old, new)
    by_name = {change.name: change for change in found.changes}
    assert by_name["a"].p50.change == pytest.approx(0.2, abs=0.01)
    assert by_name["b"].p50.change == pytest.approx(-0.2, abs=0.01)
    low, high = by_name["a"].p50.interval or (0, 0)
    assert 0.18 < low < by_name["a"].p50.change < high < 0.22
    assert [change.name for change in found.regressions(0.1)] == ["a"]
    assert found.regressions(0.25) == ()


def test_a_report_against_itself_has_no_change() -> None:
    (change,) = compare_reports(report(10.0, seed=1), report(10.0, seed=1)).changes
    assert change.p50.change == change.p90.change == 0.0
    assert change.p50.interval is not None
    assert change.p50.interval[0] < 0 < change.p50.interval[1]


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    # Turns that drift together: an interval made from calls would be ten times too narrow, and hold it rarely.
    held = 0
    for seed in range(20):
        (change,) = compare_reports(
            report(10.0, seed=2 * seed, drift=0.1), report(10.0, seed=2 * seed + 1, drift=0.1)
        ).changes
        assert change.p50.interval is not None
        held += change.p50.interval[0] <= 0 <= change.p50.interval[1]
    # 19 are expected of 95 %; 20 turns make it a little narrow.
    assert 16 <= held <= 20


def test_drift_between_turns_widens_the_interval() -> None:
    def width(drift: float) -> float:
        (change,) = compare_reports(report(10.0, seed=0, drift=drift), report(10.0, seed=1, drift=drift)).changes
        assert change.p50.interval is not None
        return change.p50.interval[1] - change.p50.interval[0]

    assert width(0.1) > 5 * width(0.0)


def test_chance_alone_is_no_regression() -> None:
    worst = Change(10.0, 11.5, (-0.05, 0.4))
    assert worst.change > 0.1 and not worst.exceeds(0.1)
    assert Change(10.0, 11.5, (0.02, 0.3)).exceeds(0.1)
    assert not Change(10.0, 10.9, (0.02, 0.3)).exceeds(0.1)
    # Without an interval only the figure is left.
    assert Change(10.0, 11.5, None).exceeds(0.1)


def test_with_too_few_turns_there_is_no_interval() -> None:
    (change,) = compare_reports(report(10.0, seed=1, turns=4), report(10.0, seed=2)).changes
    assert change.p50.interval is None
    assert change.to_json()["p50"]["interval_95"] is None


def test_rows_are_paired_by_model_engine_and_threads() -> None:
    old = make_report([make_row("a", 10.0), make_row("a", 20.0, engine="torch"), make_row("gone", 5.0)])
    new = make_report([make_row("a", 10.0), make_row("a", 6.0, threads=2), make_row("a", 22.0, engine="torch")])
    found = compare_reports(old, new)
    assert {(change.new.engine, change.new.threads) for change in found.changes} == {("onnxruntime", 1), ("torch", 1)}
    assert found.only_old == ("gone, 1 threads",)
    assert found.only_new == ("a, 2 threads",)


def test_fresh_backbones_are_told_apart_by_precision() -> None:
    rows = [
        make_row("resnet18", ms, fresh=True, path=None, precision=precision)
        for ms, precision in ((9, "fp32"), (3, "int8"))
    ]
    found = compare_reports(make_report(rows), make_report(rows))
    assert sorted(change.name for change in found.changes) == ["resnet18 fp32", "resnet18 int8"]


def test_a_single_model_is_compared_whatever_it_is_called() -> None:
    (change,) = compare_reports(
        make_report([make_row("old.onnx")]), make_report([make_row("new.onnx", sha256="1" * 64)])
    ).changes
    assert change.name == "old.onnx → new.onnx"
    assert change.marks[0] == "another file" and not change.same_file


def test_what_ran_a_single_model_otherwise_is_named() -> None:
    old, new = make_report([make_row("a")]), make_report([make_row("a", engine="openvino", threads=2)])
    assert compare_reports(old, new).differences == ("engine: onnxruntime, now openvino", "threads: 1, now 2")


def test_reports_without_a_common_model_are_refused() -> None:
    old, new = make_report([make_row("a"), make_row("b")]), make_report([make_row("c")])
    with pytest.raises(UsageError, match="no model in common") as caught:
        compare_reports(old, new)
    assert "a, 1 threads" in caught.value.hint and "c, 1 threads" in caught.value.hint


def test_another_machine_is_named() -> None:
    old = make_report([make_row()], cpu="Slow 1000", usable_cores=4, versions={"onnxruntime": "1.23.0"})
    new = make_report([make_row()], cpu="Fast 9000", usable_cores=8, versions={"onnxruntime": "1.24.0", "numpy": "2.1"})
    said = compare_reports(old, new).differences
    assert "processor: Slow 1000, now Fast 9000" in said
    assert "usable cores: 4, now 8" in said
    assert "onnxruntime: 1.23.0, now 1.24.0" in said and "numpy: none, now 2.1" in said
    assert compare_reports(old, old).differences == ()


def test_marks_of_both_sides_are_carried() -> None:
    noisy = make_row(latency=noisy_timings(10.0, spread=0.5))
    (change,) = compare_reports(make_report([noisy]), make_report([make_row(throttled=("throttled",))])).changes
    assert change.marks[0].startswith("noisy") and change.marks[0].endswith("before")
    assert change.marks[1] == "throttled now"
