"""A report as Markdown: the machine, how it was measured, and the tables, to be pasted where people read."""

from __future__ import annotations

from edge_benchmarks.report.report import NOISY_SPREAD, Report
from edge_benchmarks.report.tables import cost_table, describe_conditions, latency_table, sustained_table


def markdown_text(report: Report) -> str:
    """The environment as a block, a sentence on the measuring, and each table that has rows."""
    width = max(len(name) for name, _ in report.environment.lines())
    block = [f"    {name:<{width}}  {value}" for name, value in report.environment.lines()]
    block += [f"    {'conditions':<{width}}  {text}" for text in describe_conditions(report.conditions)]
    how = report.settings
    measured = (
        f"Measured {report.created}; {how.input}; each figure from {how.duration_s:g} s and {how.least_runs} calls at "
        f"least, {how.cold_starts} cold starts. Noisy means (p90 − p10) / p50 above {NOISY_SPREAD:.0%}."
    )
    tables = [latency_table(report), cost_table(report), sustained_table(report)]
    return "\n\n".join(["\n".join(block), measured, *(table.markdown() for table in tables if table.rows)]) + "\n"
