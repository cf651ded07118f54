"""The two pictures of a report: how latency is distributed, and what accuracy costs.

No colour carries a meaning alone: precisions differ in hatching and in the shape of their marks, too, so both pictures
can be read in grey.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_benchmarks.report.recommendation import comparable_rows, pareto_front
from edge_benchmarks.report.report import Report, Row
from edge_benchmarks.report.tables import milliseconds, short_names
from edge_data import chart_style, lettered, new_figure, save_png
from edge_runtime import LIGHT, require_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LATENCY_FILE = "latency.png"
TRADEOFF_FILE = "tradeoff.png"

# Colour, hatching and the shape of a mark by precision; what is not listed is grey.
LOOKS = {
    "fp32": (LIGHT.first, "", "o"),
    "int8": (LIGHT.second, "////", "s"),
    "int8-mixed": (LIGHT.third, "....", "D"),
    "fp16": (LIGHT.fourth, "xxxx", "^"),
}
OTHER = (LIGHT.other, "\\\\\\\\", "v")
DPI, WIDTH_PX, ROW_PX = 150, 1500, 63
BINS_PER_DOUBLING, LEAST_BINS, MOST_BINS = 24, 8, 60
LARGEST_AREA, SMALLEST_AREA = 1500.0, 30.0
LEGEND_MARK_POINTS = 18.0
LONGEST_NAME = 36


def draw_latency(report: Report, path: Path) -> None:
    """Draw how the calls of each row are distributed, fastest first, as a PNG at `path`.

    The area is how many calls took how long, every one of them; the thin line reaches from the fastest to the slowest,
    the bars mark the 50th and the 90th percentile.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: `path` cannot be written.
    """
    require_extra("bench")
    with chart_style():
        save_png(_latency(report), path)


def _latency(report: Report) -> Figure:
    from matplotlib.patches import Patch

    rows = report.rows
    figure = new_figure(WIDTH_PX, 285 + ROW_PX * len(rows), dpi=DPI)
    axes = figure.subplots()
    for place, row in enumerate(rows):
        _draw_distribution(axes, place, row)
    _beside(axes, -0.75, "p50 / p90 ms")
    axes.set_yticks(range(len(rows)), [row_label(row, rows) for row in rows], color=LIGHT.ink)
    axes.set_ylim(len(rows) - 0.4, -0.7)
    slowest, fastest = max(max(row.latency.times_ms) for row in rows), min(min(row.latency.times_ms) for row in rows)
    axes.set_xlim(fastest / 1.15, slowest * 1.15)
    _milliseconds(axes, "inference, one image")
    write_title(figure, "Latency: every call, its median and 90th percentile", report)
    looks = _looks(rows).items()
    patches = [
        Patch(fc=colour, alpha=0.55, hatch=hatch, ec=LIGHT.ink, label=name) for name, (colour, hatch, _) in looks
    ]
    _legend(axes, patches)
    return figure


def draw_tradeoff(report: Report, path: Path) -> str:
    """Draw accuracy against latency as a PNG at `path`: area is file size, the line the Pareto front.

    Only rows whose accuracies can be compared are drawn. Gives back why nothing was drawn, "" where it was.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: `path` cannot be written.
    """
    require_extra("bench")
    rows = comparable_rows(report.rows)
    if not rows:
        return "no model's accuracy is known: name labelled images with --data"
    with chart_style():
        save_png(_tradeoff(report, rows), path)
    return ""


def _tradeoff(report: Report, rows: Sequence[Row]) -> Figure:
    from matplotlib.lines import Line2D
    from matplotlib.ticker import PercentFormatter

    accuracy = rows[0].accuracy
    assert accuracy is not None
    front = pareto_front(rows)
    figure = new_figure(WIDTH_PX, 975, dpi=DPI)
    axes = figure.subplots()
    largest = max(row.size_bytes for row in rows)

    def area(size_bytes: float) -> float:
        """The mark's square points for a file of so many bytes: in proportion, but never too small to see."""
        return max(SMALLEST_AREA, LARGEST_AREA * size_bytes / largest)

    for row in rows:
        colour, _, mark = LOOKS.get(row.precision, OTHER)
        face, edge = (colour, LIGHT.ink) if row in front else ("none", colour)
        spot = [row.answer.p90_ms], [_percent(row)]
        axes.scatter(
            *spot, s=area(row.size_bytes), marker=mark, facecolor=face, edgecolor=edge, linewidth=1.4, zorder=3
        )
    line = [row.answer.p90_ms for row in front], [_percent(row) for row in front]
    axes.plot(*line, "--", color=LIGHT.ink, linewidth=1.2, zorder=2)
    # Room around the marks for themselves and their names.
    fast, slow = min(row.answer.p90_ms for row in rows), max(row.answer.p90_ms for row in rows)
    axes.set_xlim(fast / 1.35, slow * 1.6)
    low, high = min(_percent(row) for row in rows), max(_percent(row) for row in rows)
    margin = max(1.0, 0.12 * (high - low))
    axes.set_ylim(low - margin, high + margin)
    axes.yaxis.set_major_formatter(PercentFormatter())
    what = "from picture to answer" if rows[0].end_to_end is not None else "of inference"
    _milliseconds(axes, f"90th percentile {what}")
    count = f", n {accuracy.n}" if accuracy.n else ""
    axes.set_ylabel(f"top-1 accuracy, {accuracy.source}: {lettered(accuracy.where)}{count}")
    axes.grid(axis="y")
    write_title(figure, "Accuracy against latency", report)
    size = _legend_size_bytes(area)
    looks = _looks(rows).items()
    marks = [
        Line2D([], [], ls="", marker=mark, color=colour, mec=LIGHT.ink, label=name) for name, (colour, _, mark) in looks
    ]
    marks.append(Line2D([], [], color=LIGHT.ink, ls="--", label="Pareto front (filled)"))
    ring: dict[str, Any] = {"marker": "o", "markersize": math.sqrt(area(size)), "mfc": "none", "color": LIGHT.quiet}
    marks.append(Line2D([], [], ls="", **ring, label=f"file of {size / 1e6:g} MB"))
    _legend(axes, marks)
    _name_points(figure, axes, rows, front, area)
    return figure


def _draw_distribution(axes: Axes, place: int, row: Row) -> None:
    times = np.array(row.latency.times_ms)
    colour, hatch, _ = LOOKS.get(row.precision, OTHER)
    axes.plot([times.min(), times.max()], [place, place], color=LIGHT.quiet, linewidth=0.8, zorder=1)
    low, high = math.log2(times.min()), math.log2(times.max())
    bins = min(MOST_BINS, max(LEAST_BINS, math.ceil((high - low) * BINS_PER_DOUBLING)))
    edges = np.linspace(low - 0.02, high + 0.02, bins + 1)
    counts, _ = np.histogram(np.log2(times), edges)
    height = 0.38 * counts / counts.max()
    centres = 2 ** ((edges[:-1] + edges[1:]) / 2)
    look: dict[str, Any] = {
        "facecolor": colour,
        "alpha": 0.55,
        "hatch": hatch,
        "edgecolor": LIGHT.ink,
        "linewidth": 0.4,
    }
    axes.fill_between(centres, place - height, place + height, step="mid", **look, zorder=2)
    for percent, width in ((50, 2.6), (90, 1.2)):
        value = row.latency.percentile_ms(percent)
        axes.plot([value, value], [place - 0.42, place + 0.42], color=LIGHT.ink, linewidth=width, zorder=3)
    figures = f"{milliseconds(row.latency.p50_ms)} / {milliseconds(row.latency.p90_ms)}, n {row.latency.n:,}"
    _beside(axes, place, ", ".join((figures, *row.marks)))


def _beside(axes: Axes, place: float, text: str) -> None:
    """Text to the right of the axes, at the height of a row."""
    axes.text(1.008, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=7.5)


def row_label(row: Row, rows: Sequence[Row]) -> str:
    """A row's name, as short as it can be told from the others, and what else tells it from them."""
    names = [lettered(name) for name in short_names(rows).values()]
    name = lettered(short_names(rows)[row.model]).removeprefix(_shared_start(names))
    # Both ends tell more than the middle, which is a date.
    half = LONGEST_NAME // 2
    parts = [name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[-half:]}"]
    if len({each.precision for each in rows}) > 1:
        parts.append(row.precision)
    if row.engine != "onnxruntime":
        parts.append(row.engine)
    if len({each.threads for each in rows}) > 1:
        parts.append(f"{row.threads} {'thread' if row.threads == 1 else 'threads'}")
    return ", ".join(parts)


def _shared_start(names: Sequence[str]) -> str:
    """What all names begin with, up to a word's end, where some are too long to be drawn whole; else nothing."""
    if max(map(len, names)) <= LONGEST_NAME or len(set(names)) == 1:
        return ""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(min(names), max(names), strict=False))
    start = "".join(letter for letter, _ in pairs)
    return start[: max(start.rfind(mark) for mark in "-_/") + 1]


def _name_points(
    figure: Figure, axes: Axes, rows: Sequence[Row], front: Sequence[Row], area: Callable[[float], float]
) -> None:
    """Write each row's name beside its mark, where no other name and no other mark is."""
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()
    # From here on the axes stay where they are: names outside them would move what they name.
    figure.set_layout_engine("none")
    marks = []
    for row in rows:
        x, y = axes.transData.transform((row.answer.p90_ms, _percent(row)))
        half = math.sqrt(area(row.size_bytes)) / 2 * figure.dpi / 72
        marks.append(Bbox([[x - half, y - half], [x + half, y + half]]))
    look: dict[str, Any] = {
        "textcoords": "offset points",
        "fontsize": 8,
        "zorder": 4,
        "bbox": {"facecolor": LIGHT.panel, "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
        "arrowprops": {"arrowstyle": "-", "color": LIGHT.quiet, "linewidth": 0.6, "shrinkA": 0},
    }
    taken: list[Any] = []
    for row, own in sorted(zip(rows, marks, strict=True), key=lambda pair: pair[0] not in front):
        # The line to the name begins where the mark ends.
        look["arrowprops"]["shrinkB"] = math.sqrt(area(row.size_bytes)) / 2
        spot, weight = (row.answer.p90_ms, _percent(row)), "bold" if row in front else "normal"
        text = axes.annotate(row_label(row, rows), spot, (0, 0), weight=weight, **look)
        others = [*taken, *(mark for mark in marks if mark is not own)]
        places = _places(math.sqrt(area(row.size_bytes)) / 2 + 4)
        text.set(**min(places, key=partial(_covered, text, axes, others)))
        taken.append(_extent(text))


def _places(reach: float) -> list[dict[str, Any]]:
    """Where a name may stand, the best first: offsets in points and alignment, beside its mark or away from it."""
    places = [(reach, 0.0, "left", "center"), (0.0, reach, "center", "bottom"), (0.0, -reach, "center", "top")]
    places += [(-reach, 0.0, "right", "center"), (reach, reach, "left", "bottom"), (reach, -reach, "left", "top")]
    places += [(-reach, reach, "right", "bottom"), (-reach, -reach, "right", "top")]
    for away in (16, 32, 48, 64, 80):
        places += [(0.0, reach + away, "center", "bottom"), (0.0, -reach - away, "center", "top")]
    return [{"position": (dx, dy), "ha": across, "va": upright} for dx, dy, across, upright in places]


def _covered(text: Any, axes: Axes, others: Sequence[Any], place: Mapping[str, Any]) -> float:
    """The area in pixels that the text would share with `others` at that place; outside the axes it is worst."""
    from matplotlib.transforms import Bbox

    text.set(**place)
    box = _extent(text)
    shared = [both for other in others if (both := Bbox.intersection(box, other))]
    inside = axes.bbox.contains(*box.p0) and axes.bbox.contains(*box.p1)
    return float(sum(both.width * both.height for both in shared)) + (0 if inside else 2000)


def _extent(text: Any) -> Any:
    """The box of an annotation's text alone: its own would reach to what it names."""
    from matplotlib.text import Text

    # Its own, all the same, moves the text to where it belongs.
    text.get_window_extent()
    return Text.get_window_extent(text)


def _looks(rows: Sequence[Row]) -> dict[str, tuple[str, str, str]]:
    return {row.precision: LOOKS.get(row.precision, OTHER) for row in rows}


def _legend(axes: Axes, handles: Sequence[Any]) -> None:
    """Above the axes, where it covers nothing that was measured."""
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(handles), fontsize=8, borderpad=0.2)


def _legend_size_bytes(area: Callable[[float], float]) -> float:
    """The largest round size whose mark fits into the legend."""
    sizes = [digit * 10.0**power for power in range(3, 12) for digit in (1, 2, 5)]
    return max((size for size in sizes if area(size) <= LEGEND_MARK_POINTS**2), default=1e3)


def _percent(row: Row) -> float:
    assert row.accuracy is not None
    return 100 * row.accuracy.value


def write_title(figure: Figure, title: str, report: Report) -> None:
    """Above everything, so that it meets nothing that stands beside the axes."""
    figure.suptitle(f"{title}\n", x=0.01, ha="left", fontsize=13)
    figure.text(0.01, 1 - 56 / figure.bbox.height, lettered(str(report.environment)), fontsize=8, color=LIGHT.quiet)


def _milliseconds(axes: Axes, what: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5) if high > 5 * low else (1, 1.5, *range(2, 10))))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"{what}, ms (logarithmic)")
    axes.grid(axis="x")
