"""`--precision auto`: the candidates are built, timed by turns and proven; the fastest within the budget is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_export.precision.int8 import Quantizer
from edge_export.precision.int8_budget import Int8Result, fit_budget
from edge_export.precision.split_figure import LabelledImages, SplitFigure, measure_figure
from edge_runtime import (
    Call,
    Classifier,
    ModelError,
    ParityError,
    Plan,
    Progress,
    Silence,
    Timings,
    is_faster,
    take_turns,
)

QUANTIZED = ("int8", "int8-mixed")

Timer: TypeAlias = Callable[[Sequence[Call]], Sequence[Timings]]

WARM_UP_RUNS = 5
# However slow a board is: after so many durations it has seen enough of a twenty-fold ResNet-50.
PLAN = Plan(duration_s=3.0, rounds=20, least_runs=60, most_durations=5)


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate: what it costs for a single image here, what it reaches, and why it was kept or not.

    `latency`, `figure` and `size_bytes` are None where no file within the budget could be made.
    """

    precision: str
    latency: Timings | None
    size_bytes: int | None
    figure: SplitFigure | None
    drop_points: float | None
    chosen: bool
    why: str

    def to_json(self) -> dict[str, Any]:
        """As `export.json` carries it."""
        return {
            "precision": self.precision,
            "p50_ms": self.latency.p50_ms if self.latency else None,
            "p90_ms": self.latency.p90_ms if self.latency else None,
            "runs": self.latency.n if self.latency else 0,
            "size_bytes": self.size_bytes,
            "val": self.figure.to_json() if self.figure else None,
            "drop_points": self.drop_points,
            "chosen": self.chosen,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """The file to ship, and all that it was measured against. `int8` tells how it was made, None where it is fp32."""

    path: Path
    precision: str
    rows: tuple[Row, ...]
    int8: Int8Result | None

    def table(self) -> str:
        """One line for each candidate."""
        figure = f"val {next((row.figure.name for row in self.rows if row.figure), '')}"
        wide = max(24, *(len(str(row.figure)) + 1 for row in self.rows))
        head = f"{'':2}{'precision':11}{'p50 ms':>8}{'p90 ms':>8}{'runs':>6}{'MB':>7}  {figure:{wide}}{'drop':>6}  why"
        return "\n".join([head, *(_line(row, wide) for row in self.rows)])

    def to_json(self) -> dict[str, Any]:
        """As `export.json` carries it."""
        return {
            "precision": self.precision,
            "candidates": [row.to_json() for row in self.rows],
            "int8": self.int8.to_json() if self.int8 else None,
        }


def _line(row: Row, wide: int) -> str:
    start = f"{'→ ' if row.chosen else '  '}{row.precision:11}"
    if row.latency is None or row.size_bytes is None:
        times = f"{'–':>8}{'–':>8}{'–':>6}{'–':>7}"
    else:
        times = f"{row.latency.p50_ms:8.2f}{row.latency.p90_ms:8.2f}{row.latency.n:6}{row.size_bytes / 1e6:7.1f}"
    drop = "–" if row.drop_points is None else f"{row.drop_points:+.1f}"
    return f"{start}{times}  {'–' if row.figure is None else str(row.figure):{wide}}{drop:>6}  {row.why}"


def time_by_turns(calls: Sequence[Call], plan: Plan = PLAN) -> Sequence[Timings]:
    """Time `calls` in turns, warm: with less care than `edge bench`, for this decides which of three files to ship."""
    for call in calls:
        for _ in range(WARM_UP_RUNS):
            call()
    return take_turns(calls, plan)


def choose(
    fp32_path: Path,
    folder: Path,
    calibration_pixels: Iterable[NDArray[np.uint8]],
    images: LabelledImages,
    max_drop_points: float,
    *,
    progress: Progress | None = None,
    threads: int | None = None,
    timer: Timer = time_by_turns,
) -> Choice:
    """Build int8 and int8-mixed beside fp32 in `folder`, and choose the fastest on this machine within the budget.

    int8-mixed leaves in float what int8 kernels are slow or coarse at: the last layer, squeeze-excite,
    sigmoids and hard swishes. A candidate is chosen only where it is faster than fp32 beyond noise; `timer` times
    one call on one image for each candidate, fp32 first.

    Raises:
        UsageError: there is no calibration image, or no validation image.
        ModelError: the fp32 file cannot be run.
    """
    progress = progress or Silence()
    what = "validation accuracy of fp32"
    fp32 = measure_figure(fp32_path, images, threads=threads, progress=progress, what=what)
    results, refused = _build(
        fp32_path,
        folder,
        calibration_pixels,
        images,
        max_drop_points=max_drop_points,
        fp32=fp32,
        progress=progress,
        threads=threads,
    )
    paths = {"fp32": fp32_path, **{precision: result.path for precision, result in results.items()}}
    progress.say(f"timing {', '.join(paths)} by turns, one image at a time")
    times = dict(zip(paths, timer(_calls(list(paths.values()), images, threads)), strict=True))
    figures = {"fp32": fp32, **{precision: result.int8 for precision, result in results.items()}}
    chosen = _fastest(times)
    rows = [
        Row(
            precision,
            latency,
            paths[precision].stat().st_size,
            figures[precision],
            fp32.percent - figures[precision].percent,
            precision == chosen,
            _why(precision, chosen, times),
        )
        for precision, latency in times.items()
    ]
    rows += [Row(precision, None, None, None, None, False, why) for precision, why in refused.items()]
    return Choice(paths[chosen], chosen, tuple(rows), results.get(chosen))


def _build(
    fp32_path: Path,
    folder: Path,
    calibration_pixels: Iterable[NDArray[np.uint8]],
    images: LabelledImages,
    *,
    max_drop_points: float,
    fp32: SplitFigure,
    progress: Progress,
    threads: int | None,
) -> tuple[dict[str, Int8Result], dict[str, str]]:
    """The int8 candidates that fit the budget, and why the others are none."""
    results: dict[str, Int8Result] = {}
    refused: dict[str, str] = {}
    try:
        quantizer = Quantizer(fp32_path, calibration_pixels, threads=threads)
    except ModelError as error:
        return {}, dict.fromkeys(QUANTIZED, error.message)
    with quantizer:
        for precision in QUANTIZED:
            mixed = precision == "int8-mixed"
            if not quantizer.quantizable(mixed=mixed):
                refused[precision] = "no layer is left to quantise"
                continue
            target = folder / f"{precision}.onnx"
            try:
                results[precision] = fit_budget(
                    quantizer, target, images, max_drop_points, mixed=mixed, fp32=fp32, progress=progress
                )
            except (ParityError, ModelError) as error:
                refused[precision] = error.message
    return results, refused


def _calls(paths: list[Path], images: LabelledImages, threads: int | None) -> list[Call]:
    pixels = next(iter(images()))[0][:1]

    def call(path: Path) -> Call:
        classifier = Classifier(path, threads=threads)
        return lambda: classifier.probabilities(pixels)

    return [call(path) for path in paths]


def _fastest(times: dict[str, Timings]) -> str:
    """The fastest that beats fp32 beyond noise; fp32 where none does."""
    faster = [precision for precision in times if precision != "fp32" and is_faster(times[precision], times["fp32"])]
    return min(faster, key=lambda precision: times[precision].p50_ms, default="fp32")


def _why(precision: str, chosen: str, times: dict[str, Timings]) -> str:
    ratio = times["fp32"].p50_ms / times[precision].p50_ms
    if precision == "fp32":
        return "no int8 file is faster here" if chosen == "fp32" else f"{chosen} is faster"
    pace = f"{ratio:.2f} times as fast as fp32"
    if precision == chosen:
        return f"the fastest within the budget: {pace}"
    return pace if is_faster(times[precision], times["fp32"]) else f"{pace}: not faster beyond noise"
