"""Of each model of a report the engine that runs it fastest here, to be kept as the choice for this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_benchmarks.models.engine_parity import HeldEngine
from edge_benchmarks.report.report import Report, Row
from edge_runtime import RUNTIME_ENGINES, EngineChoice, is_faster


def onnxruntime_row(rows: Sequence[Row], row: Row) -> Row | None:
    """The row of the same model and number of threads, run by onnxruntime; None where there is none."""
    same = (row.model, row.precision, row.threads)
    for other in rows:
        if other.engine == "onnxruntime" and (other.model, other.precision, other.threads) == same:
            return other
    return None


def fastest_engines(report: Report, held: Sequence[HeldEngine]) -> list[tuple[Path, str, EngineChoice]]:
    """Each model file, the SHA-256 it was measured with, and the engine to take for a number of threads.

    It is the fastest for one picture, by the median.

    Another than onnxruntime only where it is faster beyond noise. Models whose file is gone are left out.
    """
    chosen = []
    differences = {(each.model, each.engine): each for each in held}
    for base in report.rows:
        if base.engine != "onnxruntime" or base.path is None:
            continue
        rivals = [
            row
            for row in report.rows
            if onnxruntime_row(report.rows, row) is base
            and row.engine in RUNTIME_ENGINES
            and is_faster(row.latency, base.latency)
        ]
        best = min([base, *rivals], key=lambda row: row.latency.p50_ms)
        found = differences.get((best.model, best.engine))  # type: ignore[arg-type]
        choice = EngineChoice(
            best.engine,  # type: ignore[arg-type]
            best.threads,
            best.latency.p50_ms,
            base.latency.p50_ms,
            0.0 if found is None or found.max_difference is None else found.max_difference,
            0 if found is None else found.images,
        )
        chosen.append((Path(base.path), base.sha256, choice))
    return chosen
