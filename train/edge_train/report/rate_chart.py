"""The picture of a search for a learning rate."""

from __future__ import annotations

from pathlib import Path

from edge_data import chart_style, lettered, new_figure, save_png
from edge_runtime import LIGHT
from edge_train.strategy.rate_curve import RateCurve

TALLEST = 1.6


@chart_style()
def draw_rates(target: Path, curve: RateCurve, now: float, *, title: str) -> None:
    """Draw the loss over what the rates were multiplied with: each step's, smoothed, the suggestion, and `now`, which
    the settings have. Raises OutputError.
    """
    figure = new_figure(900, 500)
    axes = figure.subplots()
    axes.plot(curve.scales, curve.losses, ".", color=LIGHT.quiet, alpha=0.5, label="loss of a step")
    axes.plot(curve.scales, curve.smoothed, color=LIGHT.first, linewidth=2.5, label="smoothed")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda scale, _: f"{scale:g}")
    axes.axvline(now, color=LIGHT.quiet, linestyle=":", label=f"--lr-scale {now:g}, as set")
    found = curve.suggestion
    if found is not None:
        axes.axvline(found, color=LIGHT.second, linestyle="--", label=f"--lr-scale {found:g}, the steepest descent")
    # What grows beyond all measure at the end would squeeze the rest into a line.
    axes.set_ylim(0, TALLEST * float(curve.smoothed[0]))
    axes.set_xlabel("all rates of the strategy, times")
    axes.set_ylabel("training loss (nats)")
    axes.set_title(lettered(title), color=LIGHT.ink)
    # It may lie over a line, which must not go through its words.
    axes.legend(frameon=True, framealpha=0.92, edgecolor="none")
    save_png(figure, target)
