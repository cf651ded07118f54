"""A report as the tables a person reads: headings and cells, rows in the report's order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edge_benchmarks.machine.thermal import Conditions, Series
from edge_benchmarks.report.report import Report, Row
from edge_benchmarks.report.text_table import Table
from edge_runtime import Timings

# A heading, its cell, and whether it is text.
_Column = tuple[str, Callable[[Row], str], bool]


def latency_table(report: Report) -> Table:
    """Inference alone, one image at a time, and throughput."""
    batch = report.rows[0].throughput.batch if report.rows else 1
    return _table(
        report,
        [
            *_who(report),
            *_what(report),
            ("p50 ms", lambda row: milliseconds(row.latency.p50_ms), False),
            ("p90 ms", lambda row: milliseconds(row.latency.p90_ms), False),
            ("p99 ms", lambda row: _or_dash(row.latency.figures()["p99_ms"], milliseconds), False),
            ("n", lambda row: str(row.latency.n), False),
            (f"images/s\n(batch {batch})", lambda row: f"{row.throughput.images_per_s:,.1f}", False),
            *_accuracy(report),
            *_notes(report),
        ],
    )


def cost_table(report: Report) -> Table:
    """What else it costs: everything from a process's start to an answer, each apart, medians; memory and size."""
    decoded = any(row.end_to_end is not None for row in report.rows)
    apart: list[_Column] = [
        ("decode +\nresize ms", lambda row: _percentile(row.preprocess, 50), False),
        ("end to end\np50 ms", lambda row: _percentile(row.end_to_end, 50), False),
        ("end to end\np90 ms", lambda row: _percentile(row.end_to_end, 90), False),
    ]
    return _table(
        report,
        [
            *_who(report),
            *(apart if decoded else []),
            ("load\nms", lambda row: milliseconds(row.cold_start.load.p50_ms), False),
            ("cold\nstart ms", lambda row: milliseconds(row.cold_start.process.p50_ms), False),
            ("peak\nMB", lambda row: _or_dash(row.cold_start.peak_bytes, lambda peak: f"{peak / 1e6:.0f}"), False),
            ("file\nMB", lambda row: f"{row.size_bytes / 1e6:.1f}", False),
            ("M\nparams", lambda row: f"{row.parameters / 1e6:.2f}", False),
            ("GFLOPs", lambda row: _or_dash(row.gflops, lambda value: f"{value:.3f}"), False),
        ],
    )


def sustained_table(report: Report) -> Table:
    """A row per model and minute; empty where nothing was sustained."""
    who = _who(report)
    rows = [
        (
            *(cell(row) for _, cell, _ in who),
            _clock(bucket.start_s),
            milliseconds(bucket.p50_ms),
            milliseconds(bucket.p90_ms),
            str(bucket.n),
            _or_dash(bucket.temperature_c, lambda value: f"{value:.0f}"),
            _or_dash(bucket.clock_mhz, lambda value: f"{value:.0f}"),
        )
        for row in report.rows
        for bucket in (row.sustained.buckets if row.sustained else ())
    ]
    headings = [heading for heading, _, _ in who]
    return Table((*headings, "from", "p50 ms", "p90 ms", "n", "°C", "MHz"), tuple(rows), left=len(who))


def describe_conditions(conditions: Conditions) -> list[str]:
    """Temperature and clock before, during and after, as far as the machine says, in words."""
    before, after, said = conditions.before, conditions.after, []
    if before.temperature_c is not None and after.temperature_c is not None:
        hottest = max(before.temperature_c, after.temperature_c, *_seen(conditions.during.temperature_c, "max"))
        said.append(f"{before.temperature_c:.0f} °C before, up to {hottest:.0f} °C, {after.temperature_c:.0f} °C after")
    if before.clock_mhz is not None and after.clock_mhz is not None:
        seen = (
            before.clock_mhz,
            after.clock_mhz,
            *_seen(conditions.during.clock_mhz, "min"),
            *_seen(conditions.during.clock_mhz, "max"),
        )
        said.append(
            f"clock {before.clock_mhz} MHz before, {min(seen):.0f} to {max(seen):.0f} MHz, {after.clock_mhz} MHz after"
        )
    return said


def _seen(series: Series | None, what: str) -> list[float]:
    return [] if series is None else [getattr(series, what)]


def milliseconds(value: float) -> str:
    """Three significant digits at least: a fast model's microseconds are not rounded away."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else _small(value)


def _small(value: float) -> str:
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def short_names(rows: Sequence[Row]) -> dict[str, str]:
    """A name for each model that fits a table: of a path, as many of its last parts as tell it from the others."""
    models = list(dict.fromkeys(row.model for row in rows))
    most = max((len(Path(model).parts) for model in models), default=1)
    for count in range(1, most + 1):
        short = {model: str(Path(*Path(model).parts[-count:])) for model in models}
        if len(set(short.values())) == len(models):
            return short
    return {model: model for model in models}


def _who(report: Report) -> list[_Column]:
    """The columns that tell rows apart; one that says the same everywhere is left out."""
    rows = report.rows
    names = short_names(rows)
    engines = {row.engine for row in rows}
    columns: list[_Column] = [("model", lambda row: names[row.model], True), ("precision", _precision, True)]
    if engines != {"onnxruntime"}:
        columns.append(("engine", lambda row: row.engine, True))
    if len({row.threads for row in rows}) > 1:
        columns.append(("threads", lambda row: str(row.threads), True))
    return columns


def _what(report: Report) -> list[_Column]:
    """What a reader may want to know of the models beside their names."""
    named = any(row.model != row.backbone for row in report.rows)
    backbone: list[_Column] = [("backbone", lambda row: row.backbone, True)] if named else []
    return [*backbone, ("input px", lambda row: row.input_px, True)]


def _precision(row: Row) -> str:
    return row.precision


def _accuracy(report: Report) -> list[_Column]:
    """The accuracy as far as it is known."""
    if not any(row.accuracy for row in report.rows):
        return []
    return [("accuracy", lambda row: "–" if row.accuracy is None else f"{row.accuracy.value:.1%}", False)]


def _notes(report: Report) -> list[_Column]:
    """What must be known of some rows' figures."""
    if not any(row.marks for row in report.rows):
        return []
    return [("note", lambda row: ", ".join(row.marks), False)]


def _table(report: Report, columns: Sequence[_Column]) -> Table:
    return Table(
        tuple(heading for heading, _, _ in columns),
        tuple(tuple(cell(row) for _, cell, _ in columns) for row in report.rows),
        left=sum(text for _, _, text in columns),
    )


def _percentile(timings: Timings | None, percent: float) -> str:
    return "–" if timings is None else milliseconds(timings.percentile_ms(percent))


def _or_dash(value: float | None, form: Callable[[float], str]) -> str:
    return "–" if value is None else form(value)


def _clock(seconds: float) -> str:
    """Minutes and seconds since the start, as 3:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
