"""The drawings of the report, as inline SVG whose colours come from the page's style: one drawing, light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from edge_train.report.diagnosis import EpochFigures

__all__ = ["accuracy_chart", "interval_bar", "loss_chart", "reliability_chart"]

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 30, 34
DOTS_UP_TO = 40
# The bins of `edge_runtime.expected_calibration_error`, so that the picture shows what the number sums.
BINS = 15


def loss_chart(history: Sequence[EpochFigures], best_epoch: int) -> str:
    """Training and validation loss by epoch; what is not a finite number is left out."""
    series = [(row.epoch, row.train_loss, row.val_loss) for row in history]
    highest = max((v for _, *pair in series for v in pair if math.isfinite(v)), default=1.0)
    step = _step(max(highest, 1e-3))
    top = step * math.ceil(max(highest, 1e-3) / step)
    return _chart(
        "Loss", series, best_epoch=best_epoch, limits=(0.0, top), step=step, tick=lambda v: f"{v:.3g}", say=_nats
    )


def accuracy_chart(history: Sequence[EpochFigures], best_epoch: int) -> str:
    """Training and validation accuracy by epoch, in per cent."""
    series = [(row.epoch, 100 * row.train_accuracy, 100 * row.val_accuracy) for row in history]
    lowest = min((v for _, *pair in series for v in pair if math.isfinite(v)), default=0.0)
    step = _step(max(100 - lowest, 1.0))
    floor = 100 - step * math.ceil(max(100 - lowest, 1.0) / step)
    return _chart(
        "Accuracy (%)",
        series,
        best_epoch=best_epoch,
        limits=(floor, 100.0),
        step=step,
        tick=lambda v: f"{v:g}",
        say=lambda v: f"{v:.1f} %",
    )


def _nats(loss: float) -> str:
    return f"{loss:.3f}"


def _step(span: float) -> float:
    """A round distance (1, 2 or 5 times a power of ten) that cuts `span` into about five."""
    power = 10.0 ** math.floor(math.log10(span / 5))
    return next((m * power for m in (1, 2, 5) if span / (m * power) <= 6), 10 * power)


def _chart(
    title: str,
    series: Sequence[tuple[int, float, float]],
    *,
    best_epoch: int,
    limits: tuple[float, float],
    step: float,
    tick: Callable[[float], str],
    say: Callable[[float], str],
) -> str:
    low, high = limits
    epochs = [row[0] for row in series] or [1]
    first, last = min(epochs), max(epochs)

    def x(epoch: float) -> float:
        share = (epoch - first) / (last - first) if last > first else 0.5
        return LEFT + 10 + share * (WIDTH - LEFT - RIGHT - 20)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text class="name" x="0" y="14">{title}</text>', *_legend()]
    for number in range(round((high - low) / step) + 1):
        value = low + number * step
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{tick(value)}</text>')
    every = max(1, math.ceil((last - first + 1) / 8))
    parts += [
        f'<text x="{x(epoch):.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{epoch}</text>'
        for epoch in range(first, last + 1, every)
    ]
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 2}" text-anchor="middle">epoch</text>')
    if first <= best_epoch <= last:
        at = x(best_epoch)
        parts.append(f'<line class="chosen" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    told = []
    for name, kind, column in (("training", "train", 1), ("validation", "val", 2)):
        points = [(row[0], float(row[column])) for row in series if math.isfinite(row[column])]
        parts += _curve([(x(epoch), y(value)) for epoch, value in points], kind)
        if points:
            told.append(f"{name} from {say(points[0][1])} to {say(points[-1][1])}")
        if len(points) <= DOTS_UP_TO:
            parts += [
                f'<circle class="{kind} dot" cx="{x(epoch):.1f}" cy="{y(value):.1f}" r="3.5">'
                f"<title>epoch {epoch}: {name} {say(value)}</title></circle>"
                for epoch, value in points
            ]
    label = f"{title} by epoch: {'; '.join(told) or 'no finite values'}. Best epoch {best_epoch}."
    return _svg(WIDTH, HEIGHT, label, parts)


def _legend() -> list[str]:
    return [
        f'<line class="curve train" x1="{WIDTH - 206}" x2="{WIDTH - 180}" y1="10" y2="10"/>',
        f'<text class="train" x="{WIDTH - 174}" y="14">training</text>',
        f'<line class="curve val" x1="{WIDTH - 110}" x2="{WIDTH - 84}" y1="10" y2="10"/>',
        f'<text class="val" x="{WIDTH - 78}" y="14">validation</text>',
    ]


def _curve(points: Sequence[tuple[float, float]], kind: str) -> list[str]:
    if len(points) < 2:
        return []
    return [f'<polyline class="curve {kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>']


def reliability_chart(truth: NDArray[np.int64], probabilities: NDArray[np.float32], title: str) -> str:
    """Accuracy against confidence in 15 bins (Guo et al. 2017, figure 1), with the share of images below.

    `truth` is int64 `[N]`, `probabilities` float32 `[N, classes]`.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = (probabilities.argmax(axis=1) == truth).astype(np.float64)
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    hits, sureness = (np.bincount(place, weights=w, minlength=BINS) for w in (correct, confidence))
    side, left, top = 240.0, 46.0, 30.0
    bottom, strip = top + side, 44.0
    width = side / BINS
    parts = [f'<text class="name" x="0" y="14">{escape(title)}</text>']
    for value in (0, 25, 50, 75, 100):
        y, x = bottom - side * value / 100, left + side * value / 100
        parts.append(f'<line class="grid" x1="{left}" x2="{left + side}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value}</text>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + strip + 24}" text-anchor="middle">{value}</text>')
    for index in np.flatnonzero(counts):
        n = int(counts[index])
        accuracy, sure = float(hits[index]) / n, float(sureness[index]) / n
        x, tall = left + index * width, side * accuracy
        low, high = sorted((accuracy, sure))
        kind = "gap over" if sure > accuracy else "gap"
        share = (strip - 6) * n / int(counts.max())
        parts.append(
            f"<g><title>{n} images, confidence {sure:.1%}, right {accuracy:.1%}</title>"
            f'<rect class="bar" x="{x + 1:.1f}" y="{bottom - tall:.1f}" width="{width - 2:.1f}" height="{tall:.1f}"/>'
            f'<rect class="{kind}" x="{x + 1:.1f}" y="{bottom - side * high:.1f}" width="{width - 2:.1f}" '
            f'height="{side * (high - low):.1f}"/>'
            f'<rect class="share" x="{x + 1:.1f}" y="{bottom + 6:.1f}" width="{width - 2:.1f}" '
            f'height="{share:.1f}"/></g>'
        )
    parts.append(f'<line class="ideal" x1="{left}" y1="{bottom}" x2="{left + side}" y2="{top}"/>')
    parts.append(f'<text x="{left + side / 2}" y="{bottom + strip + 42}" text-anchor="middle">confidence (%)</text>')
    parts.append(f'<text x="{left + side + 6}" y="{bottom + 18}">images</text>')
    parts.append(
        f'<text transform="translate(11 {top + side / 2}) rotate(-90)" text-anchor="middle">accuracy (%)</text>'
    )
    label = f"{title}: mean confidence {confidence.mean():.1%}, accuracy {correct.mean():.1%}"
    return _svg(left + side + 54, bottom + strip + 48, label, parts)


def interval_bar(share: float, low: float, high: float) -> str:
    """A proportion and its interval on the scale from 0 to 100 per cent."""
    label = f"{share:.1%}, 95 % interval {low:.1%} to {high:.1%}"
    parts = [
        '<rect class="whole" x="0" y="4" width="200" height="4" rx="2"/>',
        f'<rect class="range" x="{200 * low:.1f}" y="2" width="{200 * (high - low):.1f}" height="8" rx="3"/>',
        f'<rect class="point" x="{min(197.0, max(0.0, 200 * share - 1.5)):.1f}" y="0" width="3" height="12"/>',
    ]
    return _svg(200, 12, label, parts)


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
