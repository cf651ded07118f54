"""The charts of the report, as SVG whose colours come from the page's style: one drawing, light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_data import as_svg, chart_style, new_figure
from edge_runtime import LIGHT, calibration_bins
from edge_train.report.diagnosis import EpochFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOTS_UP_TO = 40
# What the page's style sheet calls the colours that are drawn with.
VARIABLES = {getattr(LIGHT, name): f"--{name}" for name in ("ink", "quiet", "line", "panel", "first", "second")}


@chart_style(12)
def curve_chart(history: Sequence[EpochFigures], best_epoch: int, quantity: str) -> str:
    """Training and validation "loss", or "accuracy" in per cent, by epoch; what is not a finite number is left out."""
    figure = new_figure(480, 250, dpi=72)
    axes = _axes(figure.subplots())
    axes.set_xlabel("epoch")
    factor, unit = (100, " %") if quantity == "accuracy" else (1, "")
    epochs = [row.epoch for row in history]
    if best_epoch in epochs:
        axes.axvline(best_epoch, color=LIGHT.quiet, linestyle=":")
    told = []
    for name, column, colour, dashes in (
        ("training", "train", LIGHT.first, "-"),
        ("validation", "val", LIGHT.second, "--"),
    ):
        shown = [(row.epoch, factor * float(getattr(row, f"{column}_{quantity}"))) for row in history]
        points = {epoch: value for epoch, value in shown if math.isfinite(value)}
        said = {epoch: f"{value:.{1 if unit else 3}f}{unit}" for epoch, value in points.items()}
        axes.plot(list(points), list(points.values()), dashes, color=colour, linewidth=2.5, label=name, clip_on=False)
        if points:
            told.append(f"{name} from {said[min(said)]} to {said[max(said)]}")
        for epoch, value in points.items() if len(points) <= DOTS_UP_TO else ():
            dot: dict[str, Any] = {
                "color": colour,
                "markerfacecolor": LIGHT.panel,
                "markeredgewidth": 2,
                "markersize": 6.5,
            }
            axes.plot(epoch, value, "o", **dot, clip_on=False, gid=f"epoch {epoch}: {name} {said[epoch]}")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderpad=0)
    axes.set_ylim(*((None, 100) if unit else (0, None)))
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    label = f"{quantity} by epoch: {'; '.join(told) or 'no finite values'}. Best epoch {best_epoch}."
    return as_svg(figure, label.capitalize(), VARIABLES)


@chart_style(12)
def reliability_chart(truth: NDArray[np.int64], probabilities: NDArray[np.float32], title: str) -> str:
    """Accuracy against confidence in 15 bins (Guo et al. 2017, figure 1), with the share of images below.

    `truth` is int64 `[N]`, `probabilities` float32 `[N, classes]`.
    """
    # Those of the calibration error, so that the picture shows what the number sums.
    counts, sureness, hits = calibration_bins(truth, probabilities)
    bins, images = len(counts), len(truth)
    figure = new_figure(340, 390, dpi=72)
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(6, 1))
    for index in np.flatnonzero(counts):
        n, x, width = int(counts[index]), 100 * (index + 0.5) / bins, 94 / bins
        accuracy, sure = 100 * hits[index] / n, 100 * sureness[index] / n
        told = f"{n} images, confidence {sure:.1f}%, right {accuracy:.1f}%"
        upper.bar(x, accuracy, width, color=LIGHT.first, alpha=0.65, gid=told)
        filled = (
            {"color": LIGHT.second, "alpha": 0.3}
            if sure > accuracy
            else {"fill": False, "edgecolor": LIGHT.second, "linestyle": ":"}
        )
        upper.bar(x, abs(sure - accuracy), width, bottom=min(sure, accuracy), **filled, gid=told)
        lower.bar(x, -n, width, color=LIGHT.quiet, alpha=0.55, gid=told)
    upper.plot([0, 100], [0, 100], "--", color=LIGHT.ink)
    _axes(upper).set(ylim=(0, 100), yticks=range(0, 101, 25), ylabel="accuracy (%)", box_aspect=1)
    _axes(lower).set(xlim=(0, 100), xticks=range(0, 101, 25), yticks=[], xlabel="confidence (%)", ylabel="images")
    label = f"{title}: mean confidence {sureness.sum() / images:.1%}, accuracy {hits.sum() / images:.1%}"
    return as_svg(figure, label, VARIABLES)


def _axes(axes: Axes) -> Axes:
    """The axes without a frame, in the page's colours."""
    axes.grid(axis="y", color=LIGHT.line)
    axes.tick_params(labelcolor=LIGHT.quiet)
    axes.xaxis.label.set_color(LIGHT.quiet)
    axes.yaxis.label.set_color(LIGHT.quiet)
    for side in axes.spines.values():
        side.set_visible(False)
    return axes
