"""Reports of benchmarks that were never run, for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edge_benchmarks import BenchSettings, Report
from edge_benchmarks.machine.environment import read_environment
from edge_benchmarks.machine.thermal import Conditions, Meanwhile, Reading
from edge_benchmarks.models.sourced_accuracy import SourcedAccuracy
from edge_benchmarks.report.report import ColdStart, Row, Throughput
from edge_runtime import Timings

__all__ = ["make_report", "make_row", "noisy_timings"]


def noisy_timings(
    median_ms: float, *, spread: float = 0.02, drift: float = 0.0, turns: int = 20, calls: int = 30, seed: int = 0
) -> Timings:
    """Calls around `median_ms`; `spread` scatters calls within a turn, `drift` whole turns."""
    choose = np.random.default_rng(seed)
    levels = median_ms * choose.lognormal(0, drift, turns) if drift else np.full(turns, median_ms)
    return Timings(tuple(tuple(level * choose.lognormal(0, spread, calls)) for level in levels))


def make_row(model: str = "a.onnx", median_ms: float = 10.0, *, accuracy: float | None = None, **changes: Any) -> Row:
    """A row of a model that takes `median_ms`, twice as long end to end; `accuracy` is measured on 1,000 images."""
    latency = changes.pop("latency", None) or noisy_timings(median_ms)
    row = Row(
        model=model,
        path=model,
        fresh=False,
        backbone="tiny",
        precision="fp32",
        engine="onnxruntime",
        threads=1,
        input_px="32",
        sha256="0" * 64,
        size_bytes=5_000_000,
        parameters=1_250_000,
        gflops=0.3,
        accuracy=None if accuracy is None else SourcedAccuracy(accuracy, 1000, "measured", "photos, val"),
        cold_start=ColdStart(
            Timings.of([300.0, 310.0]), Timings.of([20.0, 21.0]), Timings.of([15.0, 16.0]), 90_000_000
        ),
        latency=latency,
        throughput=Throughput(8, noisy_timings(8 * median_ms, turns=5, calls=2)),
        preprocess=noisy_timings(median_ms),
        end_to_end=noisy_timings(2 * median_ms),
    )
    return replace(row, **changes)


def make_report(rows: Sequence[Row], **environment: Any) -> Report:
    """A report of `rows`, sorted as `bench` sorts them; `environment` is what differs from this machine."""
    return Report(
        created="2026-01-01T00:00:00+00:00",
        settings=BenchSettings(images_from="a drawn picture").how(),
        environment=replace(read_environment(threads=1), **environment),
        conditions=Conditions(Reading(), Meanwhile(), Reading()),
        rows=tuple(sorted(rows, key=lambda row: row.latency.p90_ms)),
    )
