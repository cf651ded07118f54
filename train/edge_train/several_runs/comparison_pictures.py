"""The two pictures of a comparison: what each strategy reached at what cost, and what each answers on some images."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_data import SCALE, Sheet, chart_style, lettered, new_figure, save_png
from edge_runtime import LIGHT, STRATEGY_COLOURS, STRATEGY_MARKS, tint
from edge_train.several_runs.comparison import Comparison, Figure, StrategyRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = Sequence[tuple[int, float | None]]

WIDTH, MARGIN = 1240, 28
SHOWN, ACROSS = 8, 4
PICTURE_PX, CELL_PX, HEAD_PX = 208, 256, 160
TINY_PX = 40
_TITLES: dict[Figure, str] = {
    "accuracy": "Accuracy (%)",
    "map": "mAP (%)",
    "mean_accuracy": "Mean accuracy (%)",
    "exact_match": "All labels right (%)",
}
DOTS_UP_TO, LETTERS, LINE_PX = 40, 150, 20


@chart_style()
def draw_comparison(target: Path, comparison: Comparison, curves: Mapping[str, Curve], *, title: str) -> None:
    """Draw comparison.png: accuracies with their 95 % intervals, validation by epoch, time, parameters trained.

    `curves` holds validation accuracy (0..1) by epoch for each trained strategy. Raises OutputError.
    """
    rows = comparison.rows
    said = textwrap.wrap(comparison.why, LETTERS)
    reasons = (f"{row.strategy} was not trained: {row.reason}" for row in rows if row.reason)
    untrained = [line for reason in reasons for line in textwrap.wrap(lettered(reason), LETTERS)]
    above, tall, low, below = 130 + LINE_PX * len(said), 270, 40 + 58 * len(rows), 18 + LINE_PX * len(untrained)
    height = above + tall + 94 + low + below
    figure = new_figure(WIDTH, height, layout="none")

    def write(y: float, text: str, points: float, colour: str = LIGHT.ink) -> None:
        figure.text(MARGIN / WIDTH, 1 - y / height, text, va="top", fontsize=points, color=colour)

    title = lettered(title)
    write(18, f"{title if len(title) < 60 else f'{title[:57]}...'}: strategies compared", 17)
    write(52, f"Best for export: {comparison.best}", 12)
    for number, line in enumerate(said):
        write(80 + LINE_PX * number, line, 10)
    for number, line in enumerate(untrained):
        write(height - below + LINE_PX * number, line, 10, LIGHT.quiet)
    half = (WIDTH - 3 * MARGIN) / 2 / WIDTH
    places = {"left": MARGIN / WIDTH, "right": 2 * MARGIN / WIDTH + half}
    upper, lower = 1 - (above + tall) / height, below / height
    inset = 34 / WIDTH
    accuracies, epochs = (figure.add_axes((x + inset, upper, half - inset, tall / height)) for x in places.values())
    times, parameters = (figure.add_axes((x, lower, half, (low - 30) / height)) for x in places.values())
    _draw_accuracies(accuracies, comparison)
    _draw_curves(epochs, rows, curves)
    seconds = [row.seconds or 0.0 for row in rows]
    _draw_costs(times, "Time of the whole run", rows, [(s / max(seconds), _duration(s)) for s in seconds])
    shares = [
        (row.parameters_share or 0.0, f"{row.parameters_trained:,} of {row.parameters:,} ({_share(row)})")
        if row.run
        else (0.0, "")
        for row in rows
    ]
    _draw_costs(parameters, "Parameters trained", rows, shares)
    save_png(figure, target)


def _name(axes: Axes, title: str, note: str = "") -> None:
    axes.set_title(title, fontsize=12, pad=20)
    axes.set_title(note, fontsize=9, pad=20, loc="right", color=LIGHT.quiet)


def _draw_accuracies(axes: Axes, comparison: Comparison) -> None:
    figure = next(row.figure for row in comparison.rows if row.run)
    _name(axes, _TITLES[figure], "whiskers: 95 % interval" if figure == "accuracy" else "")
    axes.grid(axis="y")
    under = []
    for number, row in enumerate(comparison.rows):
        bars = [
            ("train", row.train_accuracy, None, 0.65),
            ("val", row.val_accuracy, row.val_interval, 0.0),
            ("test", row.test_accuracy, row.test_interval, 0.35),
        ]
        there = [(name, 100 * share, interval, white) for name, share, interval, white in bars if share is not None]
        for place, (name, share, interval, white) in enumerate(there):
            at = number + 0.28 * (place - (len(there) - 1) / 2)
            around = [[share - 100 * interval[0]], [100 * interval[1] - share]] if interval else None
            colour = tint(STRATEGY_COLOURS[row.strategy], white)
            drawn = axes.bar(at, share, 0.23, color=colour, yerr=around, capsize=4, ecolor=LIGHT.ink)
            axes.bar_label(drawn, fmt="%.1f", padding=2, fontsize=9)
            under.append((at, name))
        if not there:
            axes.text(number, 5, "not trained", ha="center", color=LIGHT.quiet)
    best = "\nbest for export"
    names = [f"\n{row.strategy}{best if row.strategy == comparison.best else ''}" for row in comparison.rows]
    axes.set_xticks(range(len(names)), names, color=LIGHT.ink, fontsize=11)
    axes.set_xticks([at for at, _ in under], [name for _, name in under], minor=True)
    axes.tick_params(axis="x", which="minor", bottom=False, labelsize=9)
    axes.xaxis.remove_overlapping_locs = False
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(0, 100), yticks=range(0, 101, 20))
    axes.spines["left"].set_visible(False)


def _draw_curves(axes: Axes, rows: Sequence[StrategyRow], curves: Mapping[str, Curve]) -> None:
    several = any(row.figure in ("map", "exact_match") for row in rows)
    _name(axes, f"Validation {'labels right' if several else 'accuracy'} (%) by epoch", "outlined: best epoch")
    axes.grid(axis="y")
    for row in rows:
        points = {epoch: 100 * share for epoch, share in curves.get(row.strategy, ()) if share is not None}
        look: dict[str, Any] = {"color": STRATEGY_COLOURS[row.strategy], "marker": STRATEGY_MARKS[row.strategy]}
        if points:
            size = 7 if len(points) <= DOTS_UP_TO else 0
            axes.plot(list(points), list(points.values()), **look, lw=2.5, markersize=size, clip_on=False)
            axes.plot([], [], **look, lw=2.5, markersize=7, label=row.strategy)
        if row.best_epoch in points:
            ring: dict[str, Any] = {"markeredgecolor": LIGHT.ink, "markersize": 9, "markeredgewidth": 1.4}
            axes.plot(row.best_epoch, points[row.best_epoch], **look, **ring, clip_on=False, zorder=3)
    lowest, _ = axes.get_ylim()
    axes.set_ylim(min(lowest, 96), 100)
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.1), ncols=len(rows), fontsize=11, handlelength=1.2)
    axes.spines["left"].set_visible(False)


def _draw_costs(axes: Axes, title: str, rows: Sequence[StrategyRow], bars: Sequence[tuple[float, str]]) -> None:
    """Horizontal bars: for each row the part of the full width (0..1) and the text that goes with it."""
    axes.set_title(title, fontsize=12)
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.6))
    for number, (row, (part, text)) in enumerate(zip(rows, bars, strict=True)):
        axes.barh(number, 1, 0.26, color=LIGHT.track)
        axes.barh(number, max(0.004, part) if row.run else 0, 0.26, color=STRATEGY_COLOURS[row.strategy])
        axes.text(0, number - 0.2, row.strategy, fontsize=11, va="bottom")
        shown, colour = (text, LIGHT.ink) if row.run else ("not trained", LIGHT.quiet)
        axes.text(1, number - 0.2, shown, va="bottom", ha="right", color=colour)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _share(row: StrategyRow) -> str:
    part = row.parameters_share or 0.0
    return "< 0.01 %" if 0 < part < 0.0001 else f"{100 * part:.{2 if part < 0.01 else 1}f} %"


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """One image as the networks see it, uint8 `[H, W, 3]`, and each strategy's probabilities, float32 `[classes]`."""

    truth: int
    pixels: NDArray[np.uint8]
    probabilities: tuple[NDArray[np.float32], ...]

    @property
    def disputed(self) -> bool:
        """Whether the strategies answer differently."""
        return len({int(given.argmax()) for given in self.probabilities}) > 1


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What `strategies` answer on `images` of the `split` so named; classes are indexes into `labels`."""

    split: str
    labels: tuple[str, ...]
    strategies: tuple[str, ...]
    images: tuple[Answered, ...]


def draw_predictions(target: Path, answers: Answers) -> None:
    """Draw predictions.png: eight of at least one images and what each strategy answers. Raises OutputError.

    Half are ones the strategies disagree on, where there are so many.
    """
    disputed, agreed = ([each for each in answers.images if each.disputed is which] for which in (True, False))
    many = min(len(disputed), max(SHOWN // 2, SHOWN - len(agreed)))
    of = f"of the {len(answers.images)} {answers.split} images looked at"
    sections = [
        (f"They disagree on {len(disputed)} {of}; some of those", disputed[:many]),
        (f"They agree on {len(agreed)} {of}; some of those", agreed[: SHOWN - many]),
    ]
    if len(answers.strategies) == 1:
        sections = [(f"Some {of}", agreed[:SHOWN])]
    sections = [section for section in sections if section[1]]
    row_px = PICTURE_PX + 44 + 52 * len(answers.strategies)
    bands = sum(-(-len(images) // ACROSS) for _, images in sections)
    width = 2 * MARGIN + HEAD_PX + ACROSS * CELL_PX
    sheet = Sheet(width, 96 + 40 * len(sections) + (row_px + 20) * bands)
    sheet.text(MARGIN, 18, "What the strategies answer", size=24)
    for x, word, right in ((MARGIN, "right", True), (MARGIN + 80, "wrong", False)):
        sheet.sign(x, 56, right=right)
        sheet.text(x + 22, 55, word, size=14)
    sheet.text(MARGIN + 165, 55, "bars: the probability of the answer, calibrated", size=14, colour=LIGHT.quiet)
    y = 92
    for heading, images in sections:
        sheet.text(MARGIN, y, heading, size=17)
        y += 36
        for start in range(0, len(images), ACROSS):
            _draw_band(sheet, y, images[start : start + ACROSS], answers.strategies, answers.labels)
            y += row_px + 20
        y += 4
    sheet.save(target)


def _draw_band(
    sheet: Sheet, y: int, images: Sequence[Answered], strategies: Sequence[str], labels: Sequence[str]
) -> None:
    first = y + PICTURE_PX + 38
    sheet.text(MARGIN, y + PICTURE_PX + 10, "true label", size=14, colour=LIGHT.quiet)
    for line, strategy in enumerate(strategies):
        sheet.marker(MARGIN + 6, first + 52 * line + 15, strategy)
        sheet.text(MARGIN + 20, first + 52 * line + 6, strategy, size=14)
    for column, shown in enumerate(images):
        x = MARGIN + HEAD_PX + column * CELL_PX
        picture = Image.fromarray(shown.pixels)
        size, how = _enlarged(picture)
        sheet.picture(x, y + PICTURE_PX - size[1], picture, size, how)
        sheet.text(x, y + PICTURE_PX + 9, sheet.fitted(labels[shown.truth], 15, CELL_PX - 16), size=15)
        for line, given in enumerate(shown.probabilities):
            answer, top = int(given.argmax()), first + 52 * line
            right = answer == shown.truth
            sheet.box(x - 6, top, CELL_PX - 12, 48, tint(LIGHT.right if right else LIGHT.wrong, 0.9), radius=4)
            sheet.sign(x, top + 6, right=right)
            sheet.text(x + 24, top + 5, sheet.fitted(labels[answer], 14, CELL_PX - 50), size=14)
            sheet.box(x + 24, top + 30, 140, 8, LIGHT.line)
            sheet.box(x + 24, top + 30, 140 * float(given[answer]), 8, LIGHT.right if right else LIGHT.wrong)
            sheet.text(x + 172, top + 26, _sure(float(given[answer])), size=13)


def _enlarged(picture: Image.Image) -> tuple[tuple[float, float], Image.Resampling]:
    """How large it is drawn, and how; where it is tiny by a whole factor, so that a person sees its pixels."""
    factor = PICTURE_PX / max(picture.size)
    if tiny := max(picture.size) <= TINY_PX:
        factor = math.floor(factor * SCALE) / SCALE
    size = picture.width * factor, picture.height * factor
    return size, Image.Resampling.NEAREST if tiny else Image.Resampling.LANCZOS


def _sure(probability: float) -> str:
    return "> 99 %" if 0.995 <= probability < 1 else f"{100 * probability:.0f} %"
