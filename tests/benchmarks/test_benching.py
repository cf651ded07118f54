"""The whole benchmark on tiny models: every figure is there, and means what it says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edge_benchmarks import BenchSettings, Contestant, bench, benching, latency_table
from edge_benchmarks.machine.thermal import Monitor
from edge_benchmarks.report.recommendation import comparable_rows
from edge_benchmarks.report.report import Report
from edge_data import EvaluationData
from edge_runtime import CheckpointError, EdgeError, ImageError, ModelError, Sample, Silence, UsageError
from fake_worker import use_fake_workers
from other_models import write_fixed
from tiny_model import write_tiny_model

QUICK = BenchSettings(duration_s=0.05, least_runs=20, batch=4, threads=(1,), cold_starts=1)
FIGURES = ["p50_ms", "p90_ms", "p95_ms", "p99_ms", "min_ms", "max_ms", "mean_ms", "std_ms", "n", "turns_ms"]


@pytest.fixture(scope="module")
def contestants(tmp_path_factory: pytest.TempPathFactory) -> list[Contestant]:
    # The large one reads 400 times the pixels.
    folder = tmp_path_factory.mktemp("contestants")
    large = write_tiny_model(folder / "large.onnx", size=640)
    return [Contestant("large", large), Contestant("small", write_tiny_model(folder / "small.onnx"))]


@pytest.fixture(scope="module")
def report(contestants: list[Contestant]) -> Report:
    """Both, measured for real with a drawn picture."""
    settings = BenchSettings(duration_s=0.05, batch=4, threads=(1,), cold_starts=2, sustained_s=0.6)
    return bench(contestants, settings)


def test_rows_come_fastest_first_with_every_figure(report: Report, contestants: list[Contestant]) -> None:
    value = report.to_json()
    assert list(value) == ["schema", "created", "settings", "environment", "conditions", "results", "failures"]
    assert value["schema"] == 2
    small, large = value["results"]
    assert (small["model"], large["model"]) == ("small", "large")
    assert small["latency"]["p90_ms"] < large["latency"]["p90_ms"]
    for row, contestant in ((small, contestants[1]), (large, contestants[0])):
        assert row["path"] == str(contestant.model)
        assert (row["backbone"], row["precision"], row["fresh"]) == ("tiny", "fp32", False)
        assert row["size_bytes"] == contestant.model.stat().st_size
        for figure in ("latency", "preprocess", "end_to_end"):
            assert list(row[figure]) == FIGURES
            assert row[figure]["n"] >= 100
            assert 0 < row[figure]["p50_ms"] <= row[figure]["p90_ms"] <= row[figure]["p99_ms"]
            assert sum(len(turn) for turn in row[figure]["turns_ms"]) == row[figure]["n"]
        assert len(row["latency"]["turns_ms"]) > 1
        assert row["cold_start"]["process"]["n"] == row["cold_start"]["load"]["n"] == 2
        assert row["cold_start"]["process"]["min_ms"] > row["cold_start"]["load"]["min_ms"] > 0
        assert row["accuracy"]["source"] == "recorded" and row["accuracy"]["n"] == 3
    assert report.environment.threads == 1
    assert Report.from_json(json.loads(json.dumps(value, allow_nan=False))) == report


def test_throughput_counts_images_not_batches(report: Report) -> None:
    for row in report.rows:
        assert row.throughput.batch == 4
        timings = row.throughput.timings
        assert row.throughput.images_per_s == pytest.approx(4 * timings.n / timings.total_s)


def test_a_sustained_run_has_its_course(report: Report) -> None:
    for row in report.rows:
        assert row.sustained is not None
        # A machine that is busy with other things may sleep through some of six.
        assert 1 <= len(row.sustained.buckets) <= 6
        assert sum(bucket.seconds for bucket in row.sustained.buckets) >= 0.6
        assert all(bucket.n >= 1 and 0 < bucket.p50_ms <= bucket.p90_ms for bucket in row.sustained.buckets)


def test_the_users_images_are_what_is_decoded(report: Report, contestants: list[Contestant], tmp_path: Path) -> None:
    images = []
    for colour in ("red", "lime"):
        images.append(tmp_path / f"{colour}.png")
        Image.new("RGB", (40, 40), colour).save(images[-1])
    settings = replace(QUICK, images=tuple(images), images_from="two colours")
    found = bench(contestants[1:], settings)
    assert (found.settings.input, found.settings.images) == ("two colours", 2)
    # Pictures of 40 pixels decode in no time beside the drawn one of 640 × 480.
    (row,), drawn = found.rows, report.rows[0].preprocess
    assert row.preprocess is not None and drawn is not None
    assert min(row.preprocess.times_ms) < min(drawn.times_ms)


def test_random_input_decodes_nothing(contestants: list[Contestant]) -> None:
    (row,) = bench(contestants[1:], replace(QUICK, random_input=True)).rows
    assert row.preprocess is None and row.end_to_end is None
    assert row.answer is row.latency


def test_a_row_counts_the_images_of_a_fixed_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_workers(monkeypatch)
    fixed = [Contestant(str(each), write_fixed(tmp_path / f"{each}.onnx", each)) for each in (1, 3)]
    report = bench(fixed, replace(QUICK, random_input=True))
    one, three = sorted(report.rows, key=lambda row: row.model)
    assert (one.throughput.batch, one.at_once, one.marks) == (4, 1, ())
    assert (three.throughput.batch, three.at_once, three.marks) == (6, 3, ("latency of 3 images",))
    # What a fake batch takes is the same.
    assert three.throughput.images_per_s == pytest.approx(1.5 * one.throughput.images_per_s)
    columns = latency_table(report).columns
    assert "batch" in columns and "images/s" in columns and "note" in columns
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_each_number_of_threads_is_a_row_and_accuracy_is_measured_once(
    contestants: list[Contestant], tmp_path: Path
) -> None:
    for name, colour in {"red": "red", "green": "lime", "wrong": "blue"}.items():
        Image.new("RGB", (40, 40), colour).save(tmp_path / f"{name}.png")
    samples = (Sample("red.png", 0), Sample("green.png", 1), Sample("wrong.png", 1))
    scored = Contestant("small", contestants[1].model, images=EvaluationData(tmp_path, samples, "val", "given"))
    begun: list[str] = []

    class Listener(Silence):
        def begin(self, task: str, total: int, unit: str = "images") -> None:
            del total, unit
            begun.append(task)

    report = bench([scored], replace(QUICK, threads=(1, 2)), progress=Listener())
    assert sorted(row.threads for row in report.rows) == [1, 2]
    assert report.environment.threads is None
    assert begun.count("accuracy of small") == 1
    for row in report.rows:
        assert row.accuracy is not None
        assert (row.accuracy.value, row.accuracy.n, row.accuracy.source) == (pytest.approx(2 / 3), 3, "measured")
        assert row.accuracy.where == f"{tmp_path.name}, val"
    other = replace(contestants[0], images=EvaluationData(tmp_path, samples[:2], "val", "given"))
    assert len(comparable_rows(bench([scored, other], QUICK).rows)) == 1


def test_it_rests_before_latency_and_before_each_sustained_run(
    contestants: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    monkeypatch.setattr(benching.time, "sleep", rests.append)  # type: ignore[attr-defined]
    use_fake_workers(monkeypatch)
    bench(contestants, replace(QUICK, sustained_s=0.01, cooldown_s=7))
    assert rests == [7, 7, 7]


def test_throttling_marks_what_was_measured_meanwhile_and_nothing_before_or_after(
    contestants: list[Contestant], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    firmware = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"
    firmware.parent.mkdir(parents=True)
    firmware.write_text("0")
    states = iter(["40004", "40000"])
    real = benching.measure_sustained

    def measure(*words: Any, **named: Any) -> Any:
        firmware.write_text(next(states))
        return real(*words, **named)

    use_fake_workers(monkeypatch)
    monkeypatch.setattr(benching, "Monitor", lambda: Monitor(tmp_path, interval_s=0.0))
    monkeypatch.setattr(benching, "measure_sustained", measure)
    report = bench(contestants, replace(QUICK, sustained_s=0.01))
    assert [row.throttled for row in report.rows] == [(), ()]
    minutes = {row.model: row.sustained and row.sustained.throttled for row in report.rows}
    assert minutes == {"large": ("throttled",), "small": ()}
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_models_that_do_not_fit_together_take_turns_in_groups(
    contestants: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_workers(monkeypatch)
    monkeypatch.setattr(benching, "available_memory_bytes", lambda: 100_000_000)
    report = bench(contestants, QUICK)
    assert sorted(row.group for row in report.rows) == [0, 1]


@pytest.mark.parametrize("kind", [ModelError, CheckpointError])
def test_a_model_that_cannot_run_here_does_not_cost_the_others(
    contestants: list[Contestant], monkeypatch: pytest.MonkeyPatch, kind: type[EdgeError]
) -> None:
    use_fake_workers(monkeypatch, failing="large.onnx", kind=kind)
    report = bench(contestants, QUICK)
    assert [row.model for row in report.rows] == ["small"]
    (failure,) = report.failures
    assert failure.model == "large" and "killed by signal 9" in failure.message


def test_a_model_that_dies_while_it_is_measured_does_not_cost_the_others(
    contestants: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a batch for which memory does not suffice: all that came before was fine.
    use_fake_workers(monkeypatch, dying=("large.onnx", "throughput"))
    report = bench(contestants, replace(QUICK, sustained_s=0.01))
    assert [row.model for row in report.rows] == ["small"]
    (failure,) = report.failures
    assert failure.model == "large" and "killed by signal 9" in failure.message
    with pytest.raises(ModelError, match="killed by signal 9"):
        bench(contestants[:1], QUICK)


@pytest.mark.parametrize(
    ("is_slow", "turns", "noisy"),
    [(lambda turn: turn < 1, 40, False), (lambda turn: turn < 4, 60, True), (lambda turn: turn < 0, 20, False)],
    ids=["a burst", "a long one", "none"],
)
def test_a_noisy_row_is_measured_longer_and_nothing_is_dropped(
    contestants: list[Contestant],
    is_slow: Callable[[int], bool],
    turns: int,
    noisy: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_fake_workers(monkeypatch, disturbed=("large.onnx", is_slow))
    rows = {row.model: row for row in bench(contestants, QUICK).rows}
    assert len(rows["small"].latency.turns_ms) == 20
    large = rows["large"]
    assert (len(large.latency.turns_ms), large.noisy) == (turns, noisy)
    assert sum(turn[0] == 20 for turn in large.latency.turns_ms) == sum(map(is_slow, range(turns)))
    assert large.busyness.capacity_s == turns


def test_what_does_not_become_stable_says_so(contestants: list[Contestant], monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_workers(monkeypatch, unstable="large.onnx")
    report = bench(contestants, QUICK)
    assert {row.model: row.stable for row in report.rows} == {"large": False, "small": True}
    assert {row.model: row.doubts for row in report.rows} == {"large": ("unstable",), "small": ()}


def test_another_engines_first_answer_is_held_against_that_of_the_same_file(
    contestants: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_workers(monkeypatch)
    other = contestants[0].run_by("openvino", contestants[0].model)
    rows = {(row.model, row.engine): row.max_difference for row in bench([*contestants, other], QUICK).rows}
    assert rows == {("large", "onnxruntime"): None, ("small", "onnxruntime"): None, ("large", "openvino"): 0.0625}
    # There is nothing to hold it against.
    assert [row.max_difference for row in bench([other, contestants[1]], QUICK).rows] == [None, None]


def test_where_none_can_run_it_is_an_error(contestants: list[Contestant], monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_workers(monkeypatch, failing=".onnx")
    with pytest.raises(ModelError, match="killed by signal 9"):
        bench(contestants, QUICK)


def test_a_wrong_file_is_refused_before_anything_is_measured(
    contestants: list[Contestant], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benching, "Worker", None)
    with pytest.raises(UsageError, match=r"gone\.jpg does not exist"):
        bench(contestants, BenchSettings(images=(tmp_path / "gone.jpg",)))
    with pytest.raises(ImageError):
        bench(contestants, BenchSettings(images=(tmp_path,)))
    with pytest.raises(UsageError, match=r"gone\.onnx does not exist"):
        bench([*contestants, Contestant("gone", tmp_path / "gone.onnx")], QUICK)


@pytest.mark.parametrize("duration", [0.0, -1.0, math.nan, math.inf])
def test_a_duration_that_never_ends_or_never_starts_is_refused(duration: float) -> None:
    with pytest.raises(UsageError, match="`duration_s`"):
        BenchSettings(duration_s=duration)
    if duration:
        with pytest.raises(UsageError, match="`sustained_s`"):
            BenchSettings(sustained_s=duration)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch": 0}, "`batch` 0"),
        ({"least_runs": 0}, "`least_runs` 0"),
        ({"cold_starts": 0}, "`cold_starts` 0"),
        ({"threads": ()}, "`threads`"),
        ({"threads": (0,)}, "`threads` 0"),
        ({"threads": (2, 2)}, "names a number twice"),
        ({"random_input": True, "images": (Path("x.jpg"),)}, "exclude each other"),
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        BenchSettings(**settings)


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to measure"):
        bench([])
