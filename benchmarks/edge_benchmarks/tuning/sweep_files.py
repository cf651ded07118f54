"""The table and the picture of a sweep."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_benchmarks.report.tables import milliseconds
from edge_benchmarks.tuning.sweep import FIGURE_NAMES, Sweep, TrialRow
from edge_data import chart_style, lettered, new_figure, save_png
from edge_runtime import LIGHT, STRATEGY_MARKS, csv_cell, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TABLE, PICTURE = "tune.csv", "tune.png"
WIDTH_PX, HEIGHT_PX, DPI = 1500, 975, 150
# What of a row stands in several columns, or in none.
_APART = ("val_interval", "test_interval", "figure", "val_value")


def write_table(folder: Path, rows: Sequence[TrialRow]) -> None:
    """Write tune.csv, a row per trial, the best first; accuracies in 0..1. Raises OutputError."""
    plain = [{name: value for name, value in row.to_json().items() if name not in _APART} for row in rows]
    names = list(dict.fromkeys(name for row in plain for name in row))
    lines = io.StringIO()
    writer = csv.DictWriter(lines, names, lineterminator="\n", restval="")
    writer.writeheader()
    for row in plain:
        writer.writerow({name: csv_cell(value) if isinstance(value, str) else value for name, value in row.items()})
    write_text(folder / TABLE, lines.getvalue())


@chart_style()
def draw_sweep(target: Path, sweep: Sweep, front: Sequence[TrialRow]) -> None:
    """Draw tune.png: validation against latency, a mark per trial; `front` is joined and named. Raises OutputError."""
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

    rows = [row for row in sweep.rows if row.figures is not None and row.latency_ms is not None]
    backbones = list(
        dict.fromkeys(row.trial.settings.backbone for row in sorted(rows, key=lambda row: row.trial.number))
    )
    colours = {
        name: LIGHT.series[place] if place < len(LIGHT.series) else LIGHT.other for place, name in enumerate(backbones)
    }
    figure = new_figure(WIDTH_PX, HEIGHT_PX, dpi=DPI)
    axes = figure.subplots()
    for row in rows:
        _draw_mark(axes, row, colours[row.trial.settings.backbone], best=row is sweep.best, front=row in front)
    axes.plot(
        [row.latency_ms or 0 for row in front],
        [100 * row.accuracy for row in front],
        "--",
        color=LIGHT.quiet,
        lw=1,
        zorder=1,
    )
    for row in front if sweep.best in front else [*front, sweep.best]:
        _name_mark(axes, row, best=row is sweep.best)
    if rows:
        latencies = [row.latency_ms or 0 for row in rows]
        axes.set_xscale("log")
        axes.set_xlim(min(latencies) / 1.35, max(latencies) * 1.35)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks(sorted({float(milliseconds(value).replace(",", "")) for value in latencies}))
        axes.tick_params(axis="x", labelrotation=45, labelsize=8)
        low, high = 100 * min(row.accuracy for row in rows), 100 * max(row.accuracy for row in rows)
        axes.set_ylim(low - max(1, 0.1 * (high - low)), min(101.0, high + max(1.5, 0.15 * (high - low))))
    axes.yaxis.set_major_formatter(PercentFormatter())
    axes.grid(axis="y")
    axes.set_xlabel(f"median inference of one picture, ms ({lettered(sweep.latency_from)})")
    figures = next(row.figures for row in sweep.rows if row.figures)
    name = FIGURE_NAMES[figures.figure]
    axes.set_ylabel(f"validation {name}, n {figures.val_n:,}")
    tried, failed = len(sweep.rows), sum(row.figures is None for row in sweep.rows)
    axes.set_title(f"{tried} trials{f', {failed} of which failed' if failed else ''}", fontsize=13, pad=14)
    strategies = list(dict.fromkeys(row.trial.settings.strategy for row in rows))
    looks: list[Any] = [
        Line2D([], [], ls="", marker="o", color=colours[name], label=lettered(name)) for name in backbones
    ]
    looks += [
        Line2D([], [], ls="", marker=STRATEGY_MARKS[name], color="none", mec=LIGHT.ink, label=name)
        for name in strategies
    ]
    looks.append(Line2D([], [], ls="--", color=LIGHT.quiet, label="none faster is as good"))
    axes.legend(handles=looks, loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
    save_png(figure, target)


def _draw_mark(axes: Axes, row: TrialRow, colour: str, *, best: bool, front: bool) -> None:
    x, y = [row.latency_ms or 0], [100 * row.accuracy]
    mark = STRATEGY_MARKS[row.trial.settings.strategy]
    assert row.figures is not None
    if best and (interval := row.figures.val_interval):
        around = [[100 * (row.accuracy - interval[0])], [100 * (interval[1] - row.accuracy)]]
        axes.errorbar(x, y, yerr=around, fmt="none", ecolor=LIGHT.quiet, capsize=4, lw=1, zorder=1)
    edge: dict[str, Any] = (
        {"edgecolor": LIGHT.ink, "linewidth": 1.8} if best else {"edgecolor": colour, "linewidth": 1.2}
    )
    axes.scatter(
        x, y, s=110 if best else 55, marker=mark, facecolor=colour if front or best else "none", **edge, zorder=3
    )


def _name_mark(axes: Axes, row: TrialRow, *, best: bool) -> None:
    """Write the trial's number above its mark, on a ground of its own: whiskers go through where it stands."""
    if row.latency_ms is None:
        return
    said = f"trial {row.trial.number}" + (", recommended" if best else "")
    ground: dict[str, Any] = {"facecolor": LIGHT.panel, "edgecolor": "none", "alpha": 0.9, "pad": 1}
    look: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 8, "bbox": ground, "zorder": 5}
    axes.annotate(said, (row.latency_ms, 100 * row.accuracy), (0, 12), textcoords="offset points", **look)
