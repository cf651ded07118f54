from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from PIL import Image

from edge_benchmarks import BenchSettings, Contestant, bench
from edge_runtime import ImageError, UsageError
from tiny_model import write_tiny_model

QUICK = BenchSettings(duration_s=0.05, batch=4, threads=1)


@pytest.fixture
def contestants(tmp_path: Path) -> list[Contestant]:
    # The large one reads 400 times the pixels.
    large = write_tiny_model(tmp_path / "large.onnx", size=640)
    return [Contestant("large", large, 1), Contestant("small", write_tiny_model(tmp_path / "small.onnx"), 1)]


def test_rows_come_fastest_first_with_every_figure(contestants: list[Contestant]) -> None:
    report = bench(contestants, QUICK).to_json()
    assert list(report) == ["schema", "environment", "results"]
    assert report["schema"] == 1
    small, large = report["results"]
    assert (small["model"], large["model"]) == ("small", "large")
    assert small["latency"]["p90_ms"] < large["latency"]["p90_ms"]
    for row, contestant in ((small, contestants[1]), (large, contestants[0])):
        assert row["path"] == str(contestant.path)
        assert (row["backbone"], row["precision"], row["fresh"]) == ("tiny", "fp32", False)
        assert row["size_bytes"] == contestant.path.stat().st_size
        assert row["latency"]["n"] >= 100
        assert 0 < row["latency"]["p50_ms"] <= row["latency"]["p90_ms"] <= row["latency"]["p99_ms"]
        assert row["throughput"]["batch"] == 4
        assert row["throughput"]["images_per_s"] > 0
        assert row["preprocess"]["p50_ms"] > 0
        assert row["process"]["load_ms"] > 0
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_throughput_counts_images_not_batches(contestants: list[Contestant]) -> None:
    (row,) = bench(contestants[:1], QUICK).rows
    seconds = row.throughput.timings.total_s
    assert row.throughput.images_per_s == pytest.approx(4 * row.throughput.timings.n / seconds)


def test_the_table_has_a_cell_for_every_column(contestants: list[Contestant]) -> None:
    report = bench(contestants, QUICK)
    assert "batch 4" in report.columns()[6]
    for row in report.rows:
        assert len(row.cells()) == len(report.columns())
        assert all(row.cells())


def test_the_environment_says_how_many_threads_were_used(contestants: list[Contestant]) -> None:
    environment = bench(contestants[:1], QUICK).to_json()["environment"]
    assert environment["threads"] == 1
    assert environment["usable_cores"] >= 1
    assert all(environment[key] for key in ("cpu", "machine", "os", "kernel", "python", "onnxruntime"))


def test_the_users_image_is_what_is_decoded(contestants: list[Contestant], tmp_path: Path) -> None:
    image = tmp_path / "mine.png"
    Image.new("RGB", (40, 40), "red").save(image)
    (row,) = bench(contestants[:1], BenchSettings(duration_s=0.05, image=image)).rows
    assert row.to_json()["preprocess"]["image"] == str(image)


def test_a_wrong_image_is_refused_before_anything_is_measured(contestants: list[Contestant], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.jpg does not exist"):
        bench(contestants, BenchSettings(image=tmp_path / "gone.jpg"))
    with pytest.raises(ImageError):
        bench(contestants, BenchSettings(image=tmp_path))


@pytest.mark.parametrize("duration", [0.0, -1.0, math.nan, math.inf])
def test_a_duration_that_never_ends_or_never_starts_is_refused(duration: float) -> None:
    with pytest.raises(UsageError, match="--duration"):
        BenchSettings(duration_s=duration)


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to measure"):
        bench([])
    with pytest.raises(UsageError, match="--batch 0"):
        BenchSettings(batch=0)
