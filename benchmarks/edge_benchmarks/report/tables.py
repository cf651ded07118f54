"""A report as the tables a person reads, alone and in Markdown: headings and cells, rows in the report's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from edge_benchmarks.machine.thermal import Conditions, Series
from edge_benchmarks.report.fastest_engine import onnxruntime_row
from edge_benchmarks.report.regression import ModelChange, ReportComparison
from edge_benchmarks.report.report import Report, Row
from edge_benchmarks.report.text_table import Table
from edge_benchmarks.report.turn_bootstrap import SURE_WITHIN
from edge_runtime import Timings

_T = TypeVar("_T")
# A heading, and the cell of each row.
_Columns = list[tuple[str, Callable[[_T], str]]]


def latency_table(report: Report) -> Table:
    """Inference alone, one image at a time, and throughput."""
    batches = {row.throughput.batch for row in report.rows}
    text = _who(report)
    if any(row.model != row.backbone for row in report.rows):
        text.append(("backbone", lambda row: row.backbone))
    text.append(("input px", lambda row: row.input_px))
    numbers: _Columns[Row] = [
        ("p50 ms", lambda row: milliseconds(row.latency.p50_ms)),
        ("p90 ms", lambda row: milliseconds(row.latency.p90_ms)),
        ("p99 ms", lambda row: _or_dash(row.latency.figures()["p99_ms"], milliseconds)),
        ("n", lambda row: str(row.latency.n)),
    ]
    if len(batches) > 1:
        # A file of a fixed batch runs no other.
        numbers.append(("batch", lambda row: str(row.throughput.batch)))
    per_second = "images/s" if len(batches) > 1 else f"images/s\n(batch {batches.pop() if batches else 1})"
    numbers.append((per_second, lambda row: f"{row.throughput.images_per_s:,.1f}"))
    if {row.engine for row in report.rows} > {"onnxruntime"}:
        numbers.append(("× as fast as\nonnxruntime", lambda row: _speedup(onnxruntime_row(report.rows, row), row)))
    if any(row.accuracy for row in report.rows):
        numbers.append(("accuracy", lambda row: f"{row.accuracy.value:.1%}" if row.accuracy else "–"))
    if any(row.marks for row in report.rows):
        numbers.append(("note", lambda row: ", ".join(row.marks)))
    return _table(report.rows, text, numbers)


def cost_table(report: Report) -> Table:
    """What else it costs: everything from a process's start to an answer, each apart, medians; memory and size."""
    decoded: _Columns[Row] = [
        ("decode +\nresize ms", lambda row: _percentile(row.preprocess, 50)),
        ("end to end\np50 ms", lambda row: _percentile(row.end_to_end, 50)),
        ("end to end\np90 ms", lambda row: _percentile(row.end_to_end, 90)),
    ]
    numbers: _Columns[Row] = [
        ("load\nms", lambda row: milliseconds(row.cold_start.load.p50_ms)),
        ("cold\nstart ms", lambda row: milliseconds(row.cold_start.process.p50_ms)),
        ("peak\nMB", lambda row: _or_dash(row.cold_start.peak_bytes, lambda peak: f"{peak / 1e6:.0f}")),
        ("file\nMB", lambda row: f"{row.size_bytes / 1e6:.1f}"),
        ("M\nparams", lambda row: f"{row.parameters / 1e6:.2f}"),
        ("GFLOPs", lambda row: _or_dash(row.gflops, "{:.3f}".format)),
    ]
    apart = decoded if any(row.end_to_end is not None for row in report.rows) else []
    return _table(report.rows, _who(report), [*apart, *numbers])


def sustained_table(report: Report) -> Table:
    """A row per model and minute; empty where nothing was sustained."""
    who = _who(report)
    rows = [
        (
            *(cell(row) for _, cell in who),
            "{}:{:02}".format(*divmod(int(bucket.start_s), 60)),
            milliseconds(bucket.p50_ms),
            milliseconds(bucket.p90_ms),
            str(bucket.n),
            _or_dash(bucket.temperature_c, "{:.0f}".format),
            _or_dash(bucket.clock_mhz, "{:.0f}".format),
        )
        for row in report.rows
        for bucket in (row.sustained.buckets if row.sustained else ())
    ]
    headings = [heading for heading, _ in who]
    return Table((*headings, "from", "p50 ms", "p90 ms", "n", "°C", "MHz"), tuple(rows), left=len(who))


def comparison_table(comparison: ReportComparison) -> Table:
    """A row per model that is in both reports: its times, how they changed, and how sure that is."""
    changes = comparison.changes
    names = short_names([change.new for change in changes])
    text: _Columns[ModelChange] = [("model", lambda change: _renamed(change, names))]
    if {change.new.engine for change in changes} != {"onnxruntime"}:
        text.append(("engine", lambda change: change.new.engine))
    if len({change.new.threads for change in changes}) > 1:
        text.append(("threads", lambda change: str(change.new.threads)))
    numbers: _Columns[ModelChange] = [
        ("p50 ms\nbefore", lambda change: milliseconds(change.p50.old_ms)),
        ("p50 ms\nnow", lambda change: milliseconds(change.p50.new_ms)),
        ("change", lambda change: f"{change.p50.change:+.1%}"),
        ("95 % interval", lambda change: _span(change.p50.interval)),
        ("p90 change", lambda change: f"{change.p90.change:+.1%}"),
        ("95 % interval", lambda change: _span(change.p90.interval)),
    ]
    if any(change.marks for change in changes):
        numbers.append(("note", lambda change: ", ".join(change.marks)))
    return _table(changes, text, numbers)


def markdown_text(report: Report) -> str:
    """The environment as a block, a sentence on the measuring, and each table that has rows."""
    width = max(len(name) for name, _ in report.environment.lines())
    block = [f"    {name:<{width}}  {value}" for name, value in report.environment.lines()]
    block += [f"    {'conditions':<{width}}  {text}" for text in describe_conditions(report.conditions)]
    how = report.settings
    measured = (
        f"Measured {report.created}; {how.input}; each figure from {how.duration_s:g} s and {how.least_runs} calls at "
        f"least, {how.cold_starts} cold starts. {describe_uncertainty(report)}"
    )
    tables = [latency_table(report), cost_table(report), sustained_table(report)]
    return "\n\n".join(["\n".join(block), measured, *(table.markdown() for table in tables if table.rows)]) + "\n"


def describe_uncertainty(report: Report) -> str:
    """How sure the rows' percentiles are, and what a row that is called noisy misses."""
    known = [row.uncertainty for row in report.rows if row.uncertainty]
    within = ""
    if known:
        most = {name: max(found[name] for found in known) for name in known[0]}
        within = f"; here {' and '.join(f'{name} within ±{share:.1%}' for name, share in most.items())} at worst"
    bounds = " or ".join(f"p{percent} beyond ±{share:.0%}" for percent, share in SURE_WITHIN.items())
    return f"Noisy means {bounds} (95 % interval, turns resampled{within})."


def describe_conditions(conditions: Conditions) -> list[str]:
    """Temperature and clock before, during and after, as far as the machine says, in words."""
    before, during, after, said = conditions.before, conditions.during, conditions.after, []
    if before.temperature_c is not None and after.temperature_c is not None:
        hottest = max(before.temperature_c, after.temperature_c, *_ends(during.temperature_c))
        said.append(f"{before.temperature_c:.0f} °C before, up to {hottest:.0f} °C, {after.temperature_c:.0f} °C after")
    if before.clock_mhz is not None and after.clock_mhz is not None:
        seen = (before.clock_mhz, after.clock_mhz, *_ends(during.clock_mhz))
        said.append(
            f"clock {before.clock_mhz} MHz before, {min(seen):.0f} to {max(seen):.0f} MHz, {after.clock_mhz} MHz after"
        )
    return said


def milliseconds(value: float) -> str:
    """Three significant digits at least: a fast model's microseconds are not rounded away."""
    digits = 0 if value >= 1000 else 1 if value >= 100 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}"


def short_names(rows: Sequence[Row]) -> dict[str, str]:
    """A name for each model that fits a table: of a path, as many of its last parts as tell it from the others."""
    models = list(dict.fromkeys(row.model for row in rows))
    most = max((len(Path(model).parts) for model in models), default=1)
    for count in range(1, most + 1):
        short = {model: str(Path(*Path(model).parts[-count:])) for model in models}
        if len(set(short.values())) == len(models):
            return short
    return {model: model for model in models}


def _who(report: Report) -> _Columns[Row]:
    """The columns that tell rows apart; one that says the same everywhere is left out."""
    names = short_names(report.rows)
    columns: _Columns[Row] = [("model", lambda row: names[row.model]), ("precision", lambda row: row.precision)]
    if {row.engine for row in report.rows} != {"onnxruntime"}:
        columns.append(("engine", lambda row: row.engine))
    if len({row.threads for row in report.rows}) > 1:
        columns.append(("threads", lambda row: str(row.threads)))
    return columns


def _table(rows: Sequence[_T], text: _Columns[_T], numbers: _Columns[_T]) -> Table:
    columns = [*text, *numbers]
    cells = tuple(tuple(cell(row) for _, cell in columns) for row in rows)
    return Table(tuple(heading for heading, _ in columns), cells, left=len(text))


def _speedup(base: Row | None, row: Row) -> str:
    """How many times as fast as `base` a row is, by the median; a dash where it is that one, or there is none."""
    return "–" if base is None or base is row else f"{base.latency.p50_ms / row.latency.p50_ms:.2f}"


def _renamed(change: ModelChange, names: Mapping[str, str]) -> str:
    """What the table calls a model: as short as can be, and in full where it has another name now."""
    if change.new.name != change.old.name:
        return change.name
    return change.name.replace(change.new.model, names[change.new.model])


def _span(interval: tuple[float, float] | None) -> str:
    return "too few turns" if interval is None else "{:+.1%} to {:+.1%}".format(*interval)


def _ends(series: Series | None) -> tuple[float, ...]:
    return () if series is None else (series.min, series.max)


def _percentile(timings: Timings | None, percent: float) -> str:
    return "–" if timings is None else milliseconds(timings.percentile_ms(percent))


def _or_dash(value: float | None, form: Callable[[float], str]) -> str:
    return "–" if value is None else form(value)
