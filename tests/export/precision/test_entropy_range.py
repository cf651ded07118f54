"""The range by entropy is onnxruntime's, and histograms of many bins do not hold an export up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

calibrate = pytest.importorskip("onnxruntime.quantization.calibrate")
pytest.importorskip("torch")

from edge_export.precision import entropy_range as module  # noqa: E402
from edge_export.precision.entropy_range import entropy_range  # noqa: E402
from edge_export.precision.int8 import to_int8  # noqa: E402
from quantized_nets import colours, write_easy  # noqa: E402


def collected(*batches: Any, bins: int = 256) -> tuple[Any, tuple[Any, ...]]:
    """onnxruntime's collector and its histogram of these values, batch after batch."""
    collector = calibrate.HistogramCollector(
        method="entropy", symmetric=False, num_bins=bins, num_quantized_bins=128, percentile=99.99, scenario="same"
    )
    for batch in batches:
        collector.collect({"x": [np.asarray(batch, np.float32)]})
    return collector, collector.histogram_dict["x"]


def drawn(kind: str) -> list[Any]:
    random = np.random.default_rng(3)
    return {
        "normal": [random.normal(0, 1, 4000), random.normal(0, 1, 4000)],
        "rectified": [np.maximum(random.normal(0, 1, 4000), 0), np.maximum(random.normal(0.5, 1, 4000), 0)],
        "heavy tails": [random.standard_t(2, 3000), random.standard_t(2, 3000)],
        "growing": [random.normal(0, 1, 500), random.normal(0, 6, 500)],
        "below zero": [-np.abs(random.normal(0, 1, 500))],
        "nothing but zeros": [np.zeros(100)],
    }[kind]


@pytest.mark.parametrize("kind", ["normal", "rectified", "heavy tails", "growing", "below zero", "nothing but zeros"])
def test_it_is_what_onnxruntime_finds(kind: str) -> None:
    collector, histogram = collected(*drawn(kind))
    assert histogram[0].size < 4000
    expected = collector.get_entropy_threshold(histogram, 128)
    assert tuple(map(float, entropy_range(histogram, 128))) == tuple(map(float, expected))


@pytest.mark.parametrize("bins", [1000, 1001, 997])
def test_merged_bins_hold_the_same_counts_around_zero(monkeypatch: pytest.MonkeyPatch, bins: int) -> None:
    counts = np.random.default_rng(0).integers(0, 9, bins)
    edges = np.linspace(-5, 5, bins + 1, dtype=np.float32)
    monkeypatch.setattr(module, "MOST_BINS", 300)
    merged, wider = module._coarser(counts, edges)
    assert merged.size <= 303 and merged.sum() == counts.sum() and wider.size == merged.size + 1
    # The middle is where the middle was, and each bin is as wide as any.
    assert wider[merged.size // 2] == pytest.approx(edges[bins // 2], abs=0.011)
    assert np.diff(wider) == pytest.approx((wider[-1] - wider[0]) / merged.size, rel=1e-3)
    assert wider[0] <= edges[0] + 1e-5 and wider[-1] >= edges[-1] - 1e-5


def test_a_range_that_grew_a_thousandfold_is_searched_at_once() -> None:
    """256 bins become 270,000: one by one their sums would take hours."""
    random = np.random.default_rng(0)
    _, histogram = collected(random.normal(0, 0.001, 200), random.normal(0, 1, 20_000))
    assert histogram[0].size > 100_000
    lowest, highest = entropy_range(histogram, 128)
    assert -6 < lowest < -0.5 and 0.5 < highest < 6
    assert np.asarray(lowest).dtype == np.asarray(highest).dtype == np.float32


def test_where_no_range_can_be_told_from_another_it_is_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EPSILON", 1e4)
    _, histogram = collected([0.5, -0.25], [1.0, -1.0])
    assert tuple(map(float, entropy_range(histogram, 128))) == (-1.0, 1.0)


def test_quantising_takes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def slow(*_: object) -> None:
        raise AssertionError("one by one")

    monkeypatch.setattr(calibrate.HistogramCollector, "get_entropy_threshold", slow)
    path, (pixels, _) = write_easy(tmp_path / "easy.onnx"), colours()
    to_int8(path, tmp_path / "int8.onnx", [pixels[:16]], method="entropy", threads=1)
    assert (tmp_path / "int8.onnx").is_file()
