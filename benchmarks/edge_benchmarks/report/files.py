"""A report as files: one JSON document, versioned; the same as CSV, a row per model; and as Markdown."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_benchmarks.report.report import SCHEMA, Report, Row
from edge_benchmarks.report.tables import markdown_text
from edge_runtime import OutputError, Timings, UsageError, csv_cell, write_text

HINT = "make one with edge bench --json > FILE, or edge bench --out DIR"
JSON_FILE, CSV_FILE, MARKDOWN_FILE = "bench.json", "bench.csv", "bench.md"


def json_text(value: Mapping[str, Any]) -> str:
    """A JSON document, indented, but each list of numbers on one line: a turn is one, and there are thousands."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[\n\s+([-+.\deE,\s]+?)\n\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"


def read_report(path: Path) -> Report:
    """The report in the JSON file at `path`, as `edge bench --json` or `--out` wrote it.

    Raises:
        UsageError: there is no such file, or it holds no report, or one that this edge cannot read.
    """
    value = _read(path)
    try:
        report = Report.from_json(value)
        for row in report.rows:
            _require_sense(row)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UsageError(f"{path} is damaged: {error!r}", HINT) from None
    if not report.rows:
        raise UsageError(f"{path} has no results", HINT)
    return report


def read_more(path: Path) -> dict[str, Any]:
    """What the file of a report holds beside it, such as the engines that were held. Raises UsageError as above."""
    known = read_report(path).to_json()
    return {key: value for key, value in _read(path).items() if key not in known}


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_float=_finite, parse_constant=_finite)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", HINT) from None
    except ValueError as error:
        raise UsageError(f"{path} is not JSON ({error})", HINT) from None
    except RecursionError:
        raise UsageError(f"{path} is no report of edge bench: it is nested too deeply", HINT) from None
    found: dict[str, Any] = value if isinstance(value, dict) else {}
    schema = found.get("schema")
    if not isinstance(schema, int) or "results" not in found:
        raise UsageError(f"{path} is not a report of edge bench", HINT)
    if schema != SCHEMA:
        newer = schema > SCHEMA
        raise UsageError(
            f"{path} has schema {schema}; this edge reads {SCHEMA}",
            "pip install --upgrade edge-vision" if newer else "measure again with this edge",
        )
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number


def _require_sense(row: Row) -> None:
    """Raise ValueError where a figure is one that nothing was divided by yet, and is to be."""
    timed = {"latency": row.latency, "preprocess": row.preprocess, "end_to_end": row.end_to_end}
    for name, timings in (timed | {"throughput": row.throughput.timings}).items():
        if timings is not None and min(timings.times_ms) <= 0:
            raise ValueError(f"{name} has calls that took no time")
    if row.throughput.batch < 1 or row.threads < 1:
        raise ValueError(f"a batch of {row.throughput.batch} by {row.threads} threads")
    if row.accuracy is not None and row.accuracy.n is not None and row.accuracy.n < 1:
        raise ValueError(f"an accuracy on {row.accuracy.n} images")
    if row.sustained is not None:
        buckets = row.sustained.buckets
        if not buckets or min(min(each.p50_ms, each.p90_ms) for each in buckets) <= 0:
            raise ValueError("sustained has no buckets, or such as took no time")


def csv_text(report: Report) -> str:
    """The report as CSV with a header, one row per model, engine and number of threads; empty where there is none."""
    rows = [
        {name: csv_cell(value) if isinstance(value, str) else value for name, value in _flat(row).items()}
        for row in report.rows
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def make_folder(folder: Path) -> None:
    """Make the folder that results go into, where it is not there yet. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}", "choose another folder") from None


def write_results(report: Report, folder: Path, document: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Write bench.json, bench.csv and bench.md into `folder`, each whole or not at all; gives their names.

    Raises OutputError. bench.json is the `document`, the report's with more, where it is given.
    """
    write_text(folder / JSON_FILE, json_text(report.to_json() if document is None else document))
    write_text(folder / CSV_FILE, csv_text(report))
    write_text(folder / MARKDOWN_FILE, markdown_text(report))
    return JSON_FILE, CSV_FILE, MARKDOWN_FILE


def _flat(row: Row) -> dict[str, Any]:
    accuracy, sustained = row.accuracy, row.sustained
    return {
        "model": row.model,
        "path": row.path,
        "backbone": row.backbone,
        "precision": row.precision,
        "engine": row.engine,
        "threads": row.threads,
        "input_px": row.input_px,
        **_figures("", row.latency),
        "images_per_s": row.throughput.images_per_s,
        "batch": row.throughput.batch,
        **_figures("preprocess_", row.preprocess),
        **_figures("end_to_end_", row.end_to_end),
        **_figures("cold_start_", row.cold_start.process),
        **_figures("load_", row.cold_start.load),
        "peak_bytes": row.cold_start.peak_bytes,
        "size_bytes": row.size_bytes,
        "parameters": row.parameters,
        "gflops": row.gflops,
        "accuracy": None if accuracy is None else accuracy.value,
        "accuracy_n": None if accuracy is None else accuracy.n,
        "accuracy_source": None if accuracy is None else accuracy.source,
        "accuracy_where": None if accuracy is None else accuracy.where,
        "spread": row.latency.spread,
        "marks": "; ".join(row.marks),
        "sustained_slowdown": None if sustained is None else sustained.slowdown,
        "sha256": row.sha256,
    }


def _figures(prefix: str, timings: Timings | None) -> dict[str, Any]:
    names = Timings.of((0.0,)).figures()
    figures = dict.fromkeys(names) if timings is None else timings.figures()
    return {f"{prefix}{name}": value for name, value in figures.items()}
