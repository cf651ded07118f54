"""The picture of minutes without a pause: whether a model stays as fast as it was at first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from edge_benchmarks.measure.sustained import MINUTE_S, Bucket
from edge_benchmarks.report.plots import DPI, WIDTH_PX, row_label, write_title
from edge_benchmarks.report.report import Report, Row
from edge_data import chart_style, new_figure, save_png
from edge_runtime import LIGHT, require_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUSTAINED_FILE = "sustained.png"
# Colour, line and mark of each model, so that it can be read in grey, too.
LOOKS = ((LIGHT.first, "-", "o"), (LIGHT.second, "--", "s"), (LIGHT.third, "-.", "D"), (LIGHT.fourth, ":", "^"))
PART_PX = 300


def draw_sustained(report: Report, path: Path) -> bool:
    """Draw latency by the minute of every model that ran without a pause, as a PNG at `path`; False where none did.

    The line is the median, the area above it reaches to the 90th percentile. Below it stand temperature and clock
    where the machine tells them.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: `path` cannot be written.
    """
    require_extra("bench")
    rows = [row for row in report.rows if row.sustained is not None and row.sustained.buckets]
    if not rows:
        return False
    with chart_style():
        save_png(_sustained(report, rows), path)
    return True


def _sustained(report: Report, rows: Sequence[Row]) -> Figure:
    known = [
        (unit, read)
        for unit, read in (("°C", attrgetter("temperature_c")), ("MHz", attrgetter("clock_mhz")))
        if any(read(bucket) is not None for row in rows for bucket in _buckets(row))
    ]
    figure = new_figure(WIDTH_PX, 2 * PART_PX + 250 + PART_PX * len(known), dpi=DPI)
    heights = [2, *(1 for _ in known)]
    (latency, *others) = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    # The slowest first, as the lines lie.
    for row, (colour, line, mark) in zip(sorted(rows, key=_last_ms, reverse=True), cycle(LOOKS)):
        minutes = [(bucket.start_s + bucket.seconds / 2) / MINUTE_S for bucket in _buckets(row)]
        middle, upper = [each.p50_ms for each in _buckets(row)], [each.p90_ms for each in _buckets(row)]
        assert row.sustained is not None
        name = f"{row_label(row, rows)}: {row.sustained.slowdown:+.1%}"
        latency.plot(minutes, middle, line, marker=mark, color=colour, label=name, markersize=5)
        latency.fill_between(minutes, middle, upper, color=colour, alpha=0.2, linewidth=0)
        for axes, (_, read) in zip(others, known, strict=True):
            axes.plot(minutes, [read(bucket) for bucket in _buckets(row)], line, marker=mark, color=colour)
    _from_zero(latency, "ms, median to p90")
    for axes, (unit, _) in zip(others, known, strict=True):
        _from_zero(axes, unit)
    figure.axes[-1].set_xlabel("minutes without a pause")
    latency.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8, borderpad=0.2)
    write_title(figure, "Latency under sustained load, and how the last part compares with the first", report)
    return figure


def _from_zero(axes: Axes, label: str) -> None:
    axes.margins(y=0.07)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(label)
    axes.grid(axis="y")


def _buckets(row: Row) -> Sequence[Bucket]:
    return () if row.sustained is None else row.sustained.buckets


def _last_ms(row: Row) -> float:
    return _buckets(row)[-1].p50_ms
