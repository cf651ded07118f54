"""A report as files, and what is refused when one is read."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench_reports import make_report, make_row
from edge_benchmarks import (
    Limits,
    compare_reports,
    csv_text,
    json_text,
    make_folder,
    read_report,
    recommend,
    write_results,
)
from edge_benchmarks.machine.other_load import Busyness
from edge_benchmarks.measure.sustained import Bucket, Sustained
from edge_benchmarks.models.sourced_accuracy import SourcedAccuracy
from edge_benchmarks.report.report import Failure, Report
from edge_runtime import OutputError, Timings, UsageError

MINUTE = Bucket(0.0, 60.0, 9.0, 10.0, 5000, None, None).to_json()


def full_report() -> Report:
    """With everything a row can hold, and a row with as little as it can."""
    sustained = Sustained(
        (Bucket(0.0, 60.0, 9.0, 10.0, 5000, 55.5, 1800.0), Bucket(60.0, 60.0, 12.0, 14.0, 4000, None, None))
    )
    full = make_row(
        "runs/x/model.onnx",
        5.0,
        accuracy=0.9,
        sustained=sustained,
        max_difference=1e-6,
        stable=False,
        busyness=Busyness(10.0, 1.0, 0.5),
        throttled=("under-voltage",),
        engine="torch",
    )
    bare = make_row("b", 1.0, path=None, fresh=True, gflops=None, preprocess=None, end_to_end=None)
    report = make_report([full, bare])
    return Report(
        report.created,
        report.settings,
        report.environment,
        report.conditions,
        report.rows,
        (Failure("c", "too large"),),
    )


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    report = full_report()
    write_results(report, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.csv", "bench.json", "bench.md"]
    assert read_report(tmp_path / "bench.json") == report


def test_a_turn_is_a_line_and_the_rest_is_indented() -> None:
    report = make_report([make_row("names with [\n 1\n ] in them", latency=Timings(((1.25, 1e-05), (3.0,))))])
    text = json_text(report.to_json())
    assert json.loads(text) == report.to_json()
    assert "\n          [1.25, 1e-05],\n          [3.0]\n" in text


def test_csv_is_a_row_a_model_with_every_figure() -> None:
    report = full_report()
    rows = list(csv.DictReader(io.StringIO(csv_text(report))))
    assert [row["model"] for row in rows] == ["b", "runs/x/model.onnx"]
    bare, full = rows
    assert float(full["p90_ms"]) == pytest.approx(report.rows[1].latency.p90_ms)
    assert float(full["sustained_slowdown"]) == pytest.approx(1 / 3)
    assert full["marks"] == "throttled; unstable" and full["accuracy_source"] == "measured"
    assert bare["end_to_end_p50_ms"] == bare["gflops"] == bare["accuracy"] == bare["path"] == ""
    assert bare["cold_start_p99_ms"] == ""


def test_csv_has_no_formula_of_a_files_name_and_its_numbers_stay_numbers() -> None:
    cooled = (Bucket(0.0, 60.0, 9.0, 10.0, 5000, None, None), Bucket(60.0, 60.0, 6.0, 8.0, 7000, None, None))
    sustained = Sustained(cooled)
    report = make_report([make_row("=1+1", path="-x/\x1b[2J.onnx", sustained=sustained)])
    (row,) = csv.DictReader(io.StringIO(csv_text(report)))
    assert (row["model"], row["path"]) == ("'=1+1", r"'-x/\x1b[2J.onnx")
    assert float(row["sustained_slowdown"]) < 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "is not a report of edge bench"),
        ('{"schema": 2}', "is not a report of edge bench"),
        ('{"schema": "2", "results": []}', "is not a report of edge bench"),
        ('{"schema": 1, "results": []}', "has schema 1; this edge reads 2"),
        ('{"schema": 99, "results": []}', "has schema 99; this edge reads 2"),
        ('{"schema": 2, "results": []}', "is damaged"),
        ('{"schema": 2, "results": [NaN]}', "NaN is no finite number"),
        ('{"schema": 2, "results": [-1e999]}', "-1e999 is no finite number"),
        ("[" * 200_000, "nested too deeply"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=said) as caught:
        read_report(path)
    assert "x.json" in caught.value.message and caught.value.hint


@pytest.mark.parametrize(
    "damage",
    [
        {"engine": "abacus"},
        {"latency": None},
        {"latency": {"turns_ms": []}},
        {"latency": {"turns_ms": [[1, "x"]]}},
        {"accuracy": {"value": 2, "n": 3, "source": "measured", "where": "x"}},
        {"accuracy": {"value": 0.5, "n": 3, "source": "guessed", "where": "x"}},
        {"cold_start": 3},
        {"throttled": 3},
        {"size_bytes": "large"},
        {"accuracy": {"value": 0.5, "n": 0, "source": "measured", "where": "x"}},
        {"latency": {"turns_ms": [[0.0, 1.0]]}},
        {"preprocess": {"turns_ms": [[0.0]]}},
        {"end_to_end": {"turns_ms": [[0.0]]}},
        {"throughput": {"batch": 8, "turns_ms": [[0.0]]}},
        {"throughput": {"batch": 0, "turns_ms": [[1.0]]}},
        {"threads": 0},
        {"sustained": {"buckets": [], "throttled": None}},
        {"sustained": {"buckets": [{**MINUTE, "p50_ms": 0.0}], "throttled": None}},
        {"gflops": 10**400},
    ],
)
def test_a_damaged_row_is_refused_in_words(tmp_path: Path, damage: dict[str, Any]) -> None:
    value = make_report([make_row(accuracy=0.9)]).to_json()
    value["results"][0].update(damage)
    (tmp_path / "x.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(UsageError, match=r"x\.json is damaged"):
        read_report(tmp_path / "x.json")


def test_a_report_without_rows_is_refused(tmp_path: Path) -> None:
    value = make_report([]).to_json()
    (tmp_path / "x.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(UsageError, match="has no results"):
        read_report(tmp_path / "x.json")


def test_a_folder_that_cannot_be_made_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="cannot make"):
            make_folder(wrong)


def test_an_accuracy_says_where_it_comes_from() -> None:
    measured = SourcedAccuracy(0.5, 1234, "measured", "photos, val")
    assert measured.describe_source() == "measured, photos, val, n 1,234"
    assert measured.interval is not None and measured.interval[0] < 0.5 < measured.interval[1]
    assert SourcedAccuracy(0.5, None, "published", "somewhere").interval is None


def keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for each in value.values() for key in keys(each)}
    return {key for each in value for key in keys(each)} if isinstance(value, list) else set()


def test_every_key_is_specified() -> None:
    page = (Path(__file__).parents[3] / "docs" / "bench-format.md").read_text(encoding="utf-8")
    report = full_report()
    value = report.to_json()
    # Versions are named by their packages.
    value["environment"]["versions"] = {}
    said = set(re.findall(r"`([a-z0-9_]+)`", page))
    comparison = compare_reports(report, report).to_json()
    recommendation = {"recommendation": recommend(report, Limits()).to_json()}
    assert keys(value) | keys(comparison) | keys(recommendation) <= said
    assert f"specifies schema {value['schema']}" in page
