"""The two pictures of a comparison: what each strategy reached at what cost, and what each answers on some images.

Colours are those of Okabe and Ito (2008), which the colour-blind tell apart; none carries a meaning alone.
"""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features

from edge_runtime import atomic_path

if TYPE_CHECKING:
    from edge_train.comparison import Comparison, StrategyRow

__all__ = ["SHOWN", "Answered", "Answers", "Curve", "draw_comparison", "draw_predictions"]

Colour = tuple[int, int, int]
Curve = Sequence[tuple[int, float | None]]

INK, SOFT, GRID, TRACK, PAPER = (30, 30, 30), (105, 105, 105), (222, 222, 222), (236, 236, 236), (255, 255, 255)
STRATEGY_COLOURS: Final[dict[str, Colour]] = {
    "feature-extraction": (0, 114, 178),
    "fine-tune": (230, 159, 0),
    "scratch": (0, 158, 115),
}
RIGHT, WRONG = (0, 114, 178), (213, 94, 0)
# Drawn twice as large and halved, which smooths edges; the bitmap font of a Pillow without FreeType cannot grow.
SCALE: Final = 2 if features.check("freetype2") else 1
WIDTH, MARGIN = 1240, 28
SHOWN, ACROSS = 8, 4
PICTURE_PX, CELL_PX, HEAD_PX = 208, 256, 160
DOTS_UP_TO, TINY_PX = 40, 40


@dataclass(frozen=True, slots=True)
class _Panel:
    """A place on the sheet for one chart, `tall` to the end of what is written below it."""

    x: int
    y: int
    width: int
    tall: int


class _Sheet:
    """A white page whose lengths are in pixels of the finished picture."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
        self.pen = ImageDraw.Draw(self.image)

    def text(self, x: float, y: float, text: str, *, size: int = 14, colour: Colour = INK, at: float = 0.0) -> None:
        """One line whose top is `y`; `at` 0 starts, 0.5 centres and 1 ends it at `x`."""
        font = _font(size, text := _plain(text))
        left = x * SCALE - at * self.pen.textlength(text, font=font)
        self.pen.text((left, y * SCALE), text, fill=colour, font=font)

    def box(self, x: float, y: float, width: float, height: float, colour: Colour, *, radius: float = 0) -> None:
        if width > 0 and height > 0:
            corners = (x * SCALE, y * SCALE, max(x * SCALE, (x + width) * SCALE - 1), (y + height) * SCALE - 1)
            self.pen.rounded_rectangle(corners, radius * SCALE, fill=colour)

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: float = 1.0) -> None:
        self.pen.line([(x * SCALE, y * SCALE) for x, y in points], colour, round(width * SCALE), joint="curve")

    def marker(self, x: float, y: float, strategy: str, *, radius: float = 5, ringed: bool = False) -> None:
        """The strategy's own sign: a circle, a square or a triangle."""
        corners = {"feature-extraction": 24, "fine-tune": 4}.get(strategy, 3)
        for size, colour in ((radius + 3, INK), (radius + 1.5, PAPER)) if ringed else ():
            self._polygon(x, y, corners, size, colour)
        self._polygon(x, y, corners, radius, STRATEGY_COLOURS[strategy])

    def sign(self, x: float, y: float, *, right: bool) -> None:
        """A tick in a disc, or a cross in a square, 16 px wide with its left upper corner at `x`, `y`."""
        self.box(x, y, 16, 16, RIGHT if right else WRONG, radius=8 if right else 2)
        cross = [(4.5, 4.5), (11.5, 11.5)], [(4.5, 11.5), (11.5, 4.5)]
        strokes = ([(4.0, 8.5), (7.0, 11.5), (12.0, 5.0)],) if right else cross
        for stroke in strokes:
            self.line([(x + a, y + b) for a, b in stroke], PAPER, 2)

    def fitted(self, text: str, size: int, width: float) -> str:
        """`text`, its middle left out where it is wider than `width`."""
        font = _font(size, text := _plain(text))

        def length(keep: int) -> float:
            return self.pen.textlength(_cut(text, keep), font=font) / SCALE

        if length(len(text)) <= width:
            return text
        return _cut(text, max(2, bisect_right(range(len(text)), width, key=length) - 1))

    def save(self, target: Path) -> None:
        """Write the finished PNG, whole or not at all. Raises OutputError."""
        with atomic_path(target) as temporary:
            (self.image.reduce(SCALE) if SCALE > 1 else self.image).save(temporary, "PNG")

    def _polygon(self, x: float, y: float, corners: int, radius: float, colour: Colour) -> None:
        # Equal radii would make a triangle look smaller than a circle.
        radius *= {3: 1.3, 4: 1.2}.get(corners, 1.0)
        turn = -math.pi / 2 + (math.pi / 4 if corners == 4 else 0)
        angles = [turn + 2 * math.pi * corner / corners for corner in range(corners)]
        spots = [((x + radius * math.cos(a)) * SCALE, (y + radius * math.sin(a)) * SCALE) for a in angles]
        self.pen.polygon(spots, fill=colour)


def _font(size: int, text: str) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return (None if text.isascii() else _wide_font(size)) or ImageFont.load_default(size * SCALE)


@cache
def _wide_font(size: int) -> ImageFont.FreeTypeFont | None:
    """A font of this machine with more letters than Pillow's own, which knows ASCII and little else."""
    for name in ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf"):
        try:
            return ImageFont.truetype(name, size * SCALE)
        except (OSError, ImportError):
            continue
    return None


def _plain(text: str) -> str:
    """What can be drawn of a label, on one line; names of folders may hold bytes that are no text."""
    text = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    if text.isascii() or _wide_font(14):
        return text
    letters = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return letters.encode("ascii", "replace").decode("ascii")


def _cut(text: str, keep: int) -> str:
    return text if keep >= len(text) else f"{text[: keep // 2]}...{text[len(text) - keep + keep // 2 :]}"


def _wrapped(text: str, size: int, width: float) -> list[str]:
    lines, font = [""], _font(size, text := _plain(text))
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) > width * SCALE and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _tint(colour: Colour, white: float) -> Colour:
    red, green, blue = (round(part + (255 - part) * white) for part in colour)
    return red, green, blue


def draw_comparison(target: Path, comparison: Comparison, curves: Mapping[str, Curve], *, title: str) -> None:
    """Draw comparison.png: accuracies with their 95 % intervals, validation by epoch, time, parameters trained.

    `curves` holds validation accuracy (0..1) by epoch for each trained strategy. Raises OutputError.
    """
    rows = comparison.rows
    said = _wrapped(comparison.why, 14, WIDTH - 2 * MARGIN)
    untrained = [
        line
        for row in rows
        if row.reason
        for line in _wrapped(f"{row.strategy} was not trained: {row.reason}", 14, WIDTH - 2 * MARGIN)
    ]
    half = (WIDTH - 3 * MARGIN) // 2
    top, tall, low = 100 + 20 * len(said), 360, 34 + 62 * len(rows)
    sheet = _Sheet(WIDTH, top + tall + low + 20 * len(untrained) + MARGIN // 2)
    sheet.text(MARGIN, 18, sheet.fitted(f"{title}: strategies compared", 24, WIDTH - 2 * MARGIN), size=24)
    sheet.text(MARGIN, 54, f"Best for export: {comparison.best}", size=17)
    for number, line in enumerate(said):
        sheet.text(MARGIN, 80 + 20 * number, line, size=14)
    right = 2 * MARGIN + half
    _draw_accuracies(sheet, _Panel(MARGIN, top, half, tall), comparison)
    _draw_curves(sheet, _Panel(right, top, half, tall), rows, curves)
    longest = max(row.seconds or 0.0 for row in rows)
    times = [((row.seconds or 0.0) / longest, _duration(row.seconds or 0.0)) for row in rows]
    _draw_costs(sheet, _Panel(MARGIN, top + tall, half, low), "Time of the whole run", rows, times)
    shares = [
        (share, f"{row.parameters_trained:,} of {row.parameters:,} ({_share(share)})")
        if (share := row.parameters_share) is not None
        else (0.0, "")
        for row in rows
    ]
    _draw_costs(sheet, _Panel(right, top + tall, half, low), "Parameters trained", rows, shares)
    for number, line in enumerate(untrained):
        sheet.text(MARGIN, top + tall + low + 20 * number, line, size=14, colour=SOFT)
    sheet.save(target)


def _draw_accuracies(sheet: _Sheet, panel: _Panel, comparison: Comparison) -> None:
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
                centre - 21, floor - share * scale, 42, share * scale, _tint(STRATEGY_COLOURS[row.strategy], white)
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


def _draw_curves(sheet: _Sheet, panel: _Panel, rows: Sequence[StrategyRow], curves: Mapping[str, Curve]) -> None:
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
    sheet: _Sheet, panel: _Panel, title: str, rows: Sequence[StrategyRow], bars: Sequence[tuple[float, str]]
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
    sheet = _Sheet(width, 96 + 40 * len(sections) + (row_px + 20) * bands)
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
    sheet: _Sheet, y: int, images: Sequence[Answered], strategies: Sequence[str], labels: Sequence[str]
) -> None:
    first = y + PICTURE_PX + 38
    sheet.text(MARGIN, y + PICTURE_PX + 10, "true label", size=14, colour=SOFT)
    for line, strategy in enumerate(strategies):
        sheet.marker(MARGIN + 6, first + 52 * line + 15, strategy)
        sheet.text(MARGIN + 20, first + 52 * line + 6, strategy, size=14)
    for column, shown in enumerate(images):
        x = MARGIN + HEAD_PX + column * CELL_PX
        picture = _enlarged(Image.fromarray(shown.pixels), PICTURE_PX * SCALE)
        sheet.image.paste(picture, (x * SCALE, y * SCALE + PICTURE_PX * SCALE - picture.height))
        sheet.text(x, y + PICTURE_PX + 9, sheet.fitted(labels[shown.truth], 15, CELL_PX - 16), size=15)
        for line, given in enumerate(shown.probabilities):
            answer, top = int(given.argmax()), first + 52 * line
            right = answer == shown.truth
            sheet.box(x - 6, top, CELL_PX - 12, 48, _tint(RIGHT if right else WRONG, 0.9), radius=4)
            sheet.sign(x, top + 6, right=right)
            sheet.text(x + 24, top + 5, sheet.fitted(labels[answer], 14, CELL_PX - 50), size=14)
            sheet.box(x + 24, top + 30, 140, 8, _tint(INK, 0.8))
            sheet.box(x + 24, top + 30, 140 * float(given[answer]), 8, RIGHT if right else WRONG)
            sheet.text(x + 172, top + 26, _sure(float(given[answer])), size=13)


def _enlarged(picture: Image.Image, side: int) -> Image.Image:
    """The picture in a square of `side`; where it is tiny by a whole factor, so that a person sees its pixels."""
    factor = side / max(picture.size)
    tiny = max(picture.size) <= TINY_PX
    size = [max(1, round(length * (math.floor(factor) if tiny else factor))) for length in picture.size]
    return picture.resize((size[0], size[1]), Image.Resampling.NEAREST if tiny else Image.Resampling.LANCZOS)


def _sure(probability: float) -> str:
    return "> 99 %" if 0.995 <= probability < 1 else f"{100 * probability:.0f} %"
