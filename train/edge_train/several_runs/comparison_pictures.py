"""The two pictures of a comparison: what each strategy reached at what cost, and what each answers on some images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_data import (
    GRID,
    INK,
    PAPER,
    RIGHT,
    SCALE,
    SOFT,
    STRATEGY_COLOURS,
    TRACK,
    WRONG,
    Panel,
    Sheet,
    tint,
    wrapped,
)
from edge_train.several_runs.comparison import Comparison, StrategyRow

__all__ = ["SHOWN", "Answered", "Answers", "Curve", "draw_comparison", "draw_predictions"]

Curve = Sequence[tuple[int, float | None]]

WIDTH, MARGIN = 1240, 28
SHOWN, ACROSS = 8, 4
PICTURE_PX, CELL_PX, HEAD_PX = 208, 256, 160
DOTS_UP_TO, TINY_PX = 40, 40


def draw_comparison(target: Path, comparison: Comparison, curves: Mapping[str, Curve], *, title: str) -> None:
    """Draw comparison.png: accuracies with their 95 % intervals, validation by epoch, time, parameters trained.

    `curves` holds validation accuracy (0..1) by epoch for each trained strategy. Raises OutputError.
    """
    rows = comparison.rows
    said = wrapped(comparison.why, 14, WIDTH - 2 * MARGIN)
    untrained = [
        line
        for row in rows
        if row.reason
        for line in wrapped(f"{row.strategy} was not trained: {row.reason}", 14, WIDTH - 2 * MARGIN)
    ]
    half = (WIDTH - 3 * MARGIN) // 2
    top, tall, low = 100 + 20 * len(said), 360, 34 + 62 * len(rows)
    sheet = Sheet(WIDTH, top + tall + low + 20 * len(untrained) + MARGIN // 2)
    sheet.text(MARGIN, 18, sheet.fitted(f"{title}: strategies compared", 24, WIDTH - 2 * MARGIN), size=24)
    sheet.text(MARGIN, 54, f"Best for export: {comparison.best}", size=17)
    for number, line in enumerate(said):
        sheet.text(MARGIN, 80 + 20 * number, line, size=14)
    right = 2 * MARGIN + half
    _draw_accuracies(sheet, Panel(MARGIN, top, half, tall), comparison)
    _draw_curves(sheet, Panel(right, top, half, tall), rows, curves)
    longest = max(row.seconds or 0.0 for row in rows)
    times = [((row.seconds or 0.0) / longest, _duration(row.seconds or 0.0)) for row in rows]
    _draw_costs(sheet, Panel(MARGIN, top + tall, half, low), "Time of the whole run", rows, times)
    shares = [
        (share, f"{row.parameters_trained:,} of {row.parameters:,} ({_share(share)})")
        if (share := row.parameters_share) is not None
        else (0.0, "")
        for row in rows
    ]
    _draw_costs(sheet, Panel(right, top + tall, half, low), "Parameters trained", rows, shares)
    for number, line in enumerate(untrained):
        sheet.text(MARGIN, top + tall + low + 20 * number, line, size=14, colour=SOFT)
    sheet.save(target)


def _draw_accuracies(sheet: Sheet, panel: Panel, comparison: Comparison) -> None:
    x, y, width, rows = panel.x, panel.y, panel.width, comparison.rows
    sheet.text(x, y, "Accuracy (%)", size=17)
    sheet.text(x + width, y + 3, "whiskers: 95 % interval", size=12, colour=SOFT, at=1)
    left, floor = x + 34, y + panel.tall - 84
    scale = (floor - y - 50) / 100
    for value in range(0, 101, 20):
        sheet.line([(left, floor - value * scale), (x + width, floor - value * scale)], GRID)
        sheet.text(left - 6, floor - value * scale - 8, f"{value}", size=12, colour=SOFT, at=1)
    slot = (x + width - left) / len(rows)
    for number, row in enumerate(rows):
        middle = left + (number + 0.5) * slot
        bars = [
            ("train", row.train_accuracy, None, 0.65),
            ("val", row.val_accuracy, row.val_interval, 0.0),
            ("test", row.test_accuracy, row.test_interval, 0.35),
        ]
        there = [bar for bar in bars if bar[1] is not None]
        for place, (name, accuracy, interval, white) in enumerate(there):
            share = 100 * (accuracy or 0.0)
            centre = middle + (place - (len(there) - 1) / 2) * 52
            sheet.box(
                centre - 21, floor - share * scale, 42, share * scale, tint(STRATEGY_COLOURS[row.strategy], white)
            )
            low, high = interval or (share / 100, share / 100)
            if interval:
                ends = floor - 100 * low * scale, floor - 100 * high * scale
                sheet.line([(centre, end) for end in ends], INK, 1.5)
                for end in ends:
                    sheet.line([(centre - 6, end), (centre + 6, end)], INK, 1.5)
            above = floor - 100 * high * scale - 20
            sheet.box(centre - 17, above + 1, 34, 14, PAPER)
            sheet.text(centre, above, f"{share:.1f}", size=13, at=0.5)
            sheet.text(centre, floor + 5, name, size=12, colour=SOFT, at=0.5)
        if not there:
            sheet.text(middle, floor - 24, "not trained", size=13, colour=SOFT, at=0.5)
        sheet.text(middle, floor + 24, row.strategy, size=15, at=0.5)
        if row.strategy == comparison.best:
            sheet.text(middle, floor + 44, "best for export", size=12, colour=SOFT, at=0.5)
    sheet.line([(left, floor), (x + width, floor)], INK)


def _draw_curves(sheet: Sheet, panel: Panel, rows: Sequence[StrategyRow], curves: Mapping[str, Curve]) -> None:
    x, y, width = panel.x, panel.y, panel.width
    sheet.text(x, y, "Validation accuracy (%) by epoch", size=17)
    sheet.text(x + width, y + 3, "outlined: best epoch", size=12, colour=SOFT, at=1)
    points = {name: [(epoch, 100 * v) for epoch, v in curve if v is not None] for name, curve in curves.items()}
    every = [point for curve in points.values() for point in curve] or [(1, 100.0)]
    first, last = min(epoch for epoch, _ in every), max(epoch for epoch, _ in every)
    span = max(100 - min(value for _, value in every), 4.0)
    step = next(s for s in (1, 2, 5, 10, 20) if span / s <= 6)
    base = 100 - step * math.ceil(span / step)
    left, floor = x + 34, y + panel.tall - 84

    def place(epoch: int, value: float) -> tuple[float, float]:
        across = (epoch - first) / (last - first) if last > first else 0.5
        return left + 16 + across * (x + width - left - 32), floor - (value - base) * (floor - y - 50) / (100 - base)

    for value in range(base, 101, step):
        level = place(first, value)[1]
        sheet.line([(left, level), (x + width, level)], GRID)
        sheet.text(left - 6, level - 8, f"{value}", size=12, colour=SOFT, at=1)
    for epoch in range(first, last + 1, max(1, math.ceil((last - first + 1) / 10))):
        sheet.text(place(epoch, base)[0], floor + 5, f"{epoch}", size=12, colour=SOFT, at=0.5)
    sheet.line([(left, floor), (x + width, floor)], INK)
    slot = (x + width - left) / len(rows)
    for number, row in enumerate(rows):
        spots = [(epoch, place(epoch, value)) for epoch, value in points.get(row.strategy, [])]
        if len(spots) > 1:
            sheet.line([spot for _, spot in spots], STRATEGY_COLOURS[row.strategy], 2.5)
        for epoch, spot in spots:
            if epoch == row.best_epoch or len(spots) <= DOTS_UP_TO:
                sheet.marker(*spot, row.strategy, ringed=epoch == row.best_epoch)
        if spots:
            sheet.marker(left + number * slot + 8, floor + 42, row.strategy)
            sheet.text(left + number * slot + 22, floor + 33, row.strategy, size=14)


def _draw_costs(
    sheet: Sheet, panel: Panel, title: str, rows: Sequence[StrategyRow], bars: Sequence[tuple[float, str]]
) -> None:
    """Horizontal bars: for each row the part of the full width (0..1) and the text that goes with it."""
    x, y, width = panel.x, panel.y, panel.width
    sheet.text(x, y, title, size=17)
    for number, (row, (part, text)) in enumerate(zip(rows, bars, strict=True)):
        top = y + 36 + 62 * number
        sheet.marker(x + 7, top + 9, row.strategy)
        sheet.text(x + 22, top, row.strategy, size=15)
        sheet.text(x + width, top, text if row.run else "not trained", size=14, colour=INK if row.run else SOFT, at=1)
        sheet.box(x, top + 25, width, 14, TRACK)
        sheet.box(x, top + 25, max(2.0, width * part) if row.run else 0, 14, STRATEGY_COLOURS[row.strategy])


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _share(part: float) -> str:
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
    sheet.text(MARGIN + 165, 55, "bars: the probability of the answer, calibrated", size=14, colour=SOFT)
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
    sheet.text(MARGIN, y + PICTURE_PX + 10, "true label", size=14, colour=SOFT)
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
            sheet.box(x - 6, top, CELL_PX - 12, 48, tint(RIGHT if right else WRONG, 0.9), radius=4)
            sheet.sign(x, top + 6, right=right)
            sheet.text(x + 24, top + 5, sheet.fitted(labels[answer], 14, CELL_PX - 50), size=14)
            sheet.box(x + 24, top + 30, 140, 8, tint(INK, 0.8))
            sheet.box(x + 24, top + 30, 140 * float(given[answer]), 8, RIGHT if right else WRONG)
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
