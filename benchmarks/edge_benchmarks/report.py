"""What a benchmark found: one row per model, as JSON and as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_benchmarks.environment import Environment
from edge_benchmarks.latency import Timings
from edge_benchmarks.memory import FreshProcess

__all__ = ["SCHEMA", "Report", "Row", "Throughput"]

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Throughput:
    """Batches of `batch` images, one after the other."""

    batch: int
    timings: Timings

    @property
    def images_per_s(self) -> float:
        """Images per second over all batches."""
        return self.batch * self.timings.n / self.timings.total_s

    def to_json(self) -> dict[str, Any]:
        """As `edge bench --json` prints it."""
        return {"batch": self.batch, "images_per_s": self.images_per_s, "n": self.timings.n}


@dataclass(frozen=True, slots=True)
class Row:
    """What one model costs. `latency` is inference alone, batch 1; `preprocess` decoding and resizing, apart.

    `path` is None for a fresh backbone, whose file is gone when the benchmark is over.
    """

    model: str
    path: str | None
    backbone: str
    precision: str
    input_px: str
    size_bytes: int
    image: str
    preprocess: Timings
    latency: Timings
    throughput: Throughput
    process: FreshProcess

    def to_json(self) -> dict[str, Any]:
        """As `edge bench --json` prints it."""
        return {
            "model": self.model,
            "path": self.path,
            "fresh": self.path is None,
            "backbone": self.backbone,
            "precision": self.precision,
            "input_px": self.input_px,
            "size_bytes": self.size_bytes,
            "latency": self.latency.to_json(),
            "preprocess": {"image": self.image, **self.preprocess.to_json()},
            "throughput": self.throughput.to_json(),
            "process": self.process.to_json(),
        }

    def cells(self) -> tuple[str, ...]:
        """The row of the table, in the order of `Report.columns`."""
        peak = self.process.peak_bytes
        return (
            self.model,
            self.backbone,
            self.precision,
            self.input_px,
            _milliseconds(self.latency.percentile_ms(50)),
            _milliseconds(self.latency.percentile_ms(90)),
            f"{self.throughput.images_per_s:,.1f}",
            f"{self.size_bytes / 1e6:.1f}",
            "–" if peak is None else f"{peak / 1e6:.0f}",
            str(self.latency.n),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """A benchmark's rows, fastest first by the 90th percentile, and the machine they were measured on."""

    environment: Environment
    rows: tuple[Row, ...]

    def columns(self) -> tuple[str, ...]:
        """Headings of the table; the first three columns are text."""
        batch = self.rows[0].throughput.batch if self.rows else 1
        speed = f"images/s\n(batch {batch})"
        return ("model", "backbone", "precision", "input px", "p50 ms", "p90 ms", speed, "MB", "peak MB", "n")

    def to_json(self) -> dict[str, Any]:
        """The document `edge bench --json` prints."""
        return {
            "schema": SCHEMA,
            "environment": self.environment.to_json(),
            "results": [row.to_json() for row in self.rows],
        }


def _milliseconds(value: float) -> str:
    """Three significant digits at least: a fast model's microseconds are not rounded away."""
    return f"{value:.1f}" if value >= 100 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"
