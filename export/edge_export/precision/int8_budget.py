"""int8 within an accuracy budget: calibration methods first, then the layers that hurt most go back to float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_export.precision.exactness import BothAnswers, answer_both, arithmetic_json, require_exact
from edge_export.precision.int8 import CALIBRATION_METHODS, CalibrationMethod, Quantizer
from edge_export.precision.int8_sensitivity import RANKING_IMAGES, LayerHarm, rank_layers
from edge_export.precision.split_figure import LabelledImages, SplitFigure, measure_figure
from edge_export.proof.sample_images import spread
from edge_runtime import Accuracy, Drift, ModelError, ParityError, Progress, Silence

# With more than this in float the file is neither small nor fast, and int8 only a name.
MOST_IN_FLOAT = 0.5


@dataclass(frozen=True, slots=True)
class Trial:
    """One int8 file that was tried: how it was calibrated, how many layers stayed in float, and what it reached."""

    method: CalibrationMethod
    kept_float: int
    figure: SplitFigure

    def to_json(self) -> dict[str, Any]:
        """As `export.json` carries it."""
        return {"method": self.method, "kept_float": self.kept_float, **self.figure.to_json()}


@dataclass(frozen=True, slots=True)
class Int8Result:
    """The int8 file that fits its budget; `harms` ranks the layers where some had to stay in float, else is empty.

    `drift` is how far its answers here are from its graph in exact arithmetic; `both` are they, where a threshold
    that is still to be chosen will decide.
    """

    path: Path
    precision: str
    method: CalibrationMethod
    fp32: SplitFigure
    int8: SplitFigure
    tried: tuple[Trial, ...]
    harms: tuple[LayerHarm, ...]
    calibration_images: int
    drift: Drift
    both: BothAnswers | None = field(default=None, compare=False, repr=False)

    @property
    def drop_points(self) -> float:
        """Points of its figure that it loses against the float file; negative where int8 reaches more."""
        return self.fp32.percent - self.int8.percent

    @property
    def kept_float(self) -> tuple[str, ...]:
        """The layers that were left in float to fit the budget."""
        return tuple(harm.layer for harm in self.harms if harm.kept_float)

    def table(self, rows: int = 20) -> str:
        """The layers that hurt most, one a line, and which stayed in float; empty where none had to."""
        if not self.harms:
            return ""
        shown = self.harms[: max(rows, len(self.kept_float))]
        width = max(len("layer"), *(len(harm.layer) for harm in shown))
        lines = [f"{'layer':{width}}  {'op':6}  {'harm (points)':>13}  precision"]
        lines += [
            f"{harm.layer:{width}}  {harm.op:6}  {harm.harm_points:13.3f}  {'float' if harm.kept_float else 'int8'}"
            for harm in shown
        ]
        if len(shown) < len(self.harms):
            lines.append(f"… and {len(self.harms) - len(shown)} layers that hurt less, all int8")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """As `export.json` carries it."""
        return {
            "precision": self.precision,
            "calibration": {"method": self.method, "images": self.calibration_images},
            "fp32": self.fp32.to_json(),
            "int8": self.int8.to_json(),
            "drop_points": self.drop_points,
            "arithmetic": arithmetic_json(self.drift),
            "kept_float": list(self.kept_float),
            "tried": [trial.to_json() for trial in self.tried],
            "layers": [harm.to_json() for harm in self.harms],
        }


def fit_budget(
    quantizer: Quantizer,
    out_path: Path,
    images: LabelledImages,
    max_drop_points: float,
    *,
    mixed: bool = False,
    fp32: SplitFigure | None = None,
    progress: Progress | None = None,
) -> Int8Result:
    """Write the quantizer's file as int8 to `out_path`, losing at most `max_drop_points` on `images`.

    Points are of top-1, of the mAP where a picture may have several labels (of images with every label right where none
    has one), and of several tasks' mean accuracy.
    The cheapest calibration that fits is taken. Where none does, layers are left in float, those that hurt most
    first and ever more of them, up to half of all; then as few as still fit. `fp32` is the float file's figure on
    the same images where it is known already. The file's answers are those of its graph in exact arithmetic.

    Raises:
        ParityError: no such file fits the budget, or kernels and graph drift apart; nothing is left at `out_path`.
        UsageError: there is no validation image.
        ModelError: onnxruntime cannot quantise this graph.
    """
    progress = progress or Silence()
    if fp32 is None:
        what = "validation accuracy of fp32"
        fp32 = measure_figure(quantizer.fp32_path, images, threads=quantizer.threads, progress=progress, what=what)
    search = _Search(quantizer, out_path, images, fp32, max_drop_points, mixed, progress)
    try:
        return search.run()
    except BaseException:
        out_path.unlink(missing_ok=True)
        raise


def within_budget(before: SplitFigure, after: SplitFigure, max_drop_points: float) -> bool:
    """Whether no more was lost than that; one of a hundred is one point, though floats make it a little more."""
    return before.percent - after.percent <= max_drop_points + 1e-9


@dataclass(frozen=True)
class _Search:
    """The files tried on the way to one that fits; the last one tried lies at `out_path`."""

    quantizer: Quantizer
    out_path: Path
    images: LabelledImages
    fp32: SplitFigure
    max_drop_points: float
    mixed: bool
    progress: Progress
    tried: list[Trial] = field(default_factory=list)

    @property
    def precision(self) -> str:
        """What the file is called."""
        return "int8-mixed" if self.mixed else "int8"

    def run(self) -> Int8Result:
        """The result, its file written. Raises ParityError where nothing fits."""
        floats, layers = self.quantizer.layers.floats, len(self.quantizer.layers.layers)
        if floats > MOST_IN_FLOAT * (layers + floats):
            raise ParityError(
                f"{floats} of {layers + floats} operations with weights have no int8, so that the file would be float",
                "export it with `precision` fp32 or fp16",
            )
        for method in CALIBRATION_METHODS:
            if self._try(method):
                return self._result(method, ())
        best = max(self.tried, key=lambda trial: trial.figure.value)
        self.progress.say(f"{self.precision} loses {self._drop(best):.1f} points; ranking its layers by harm")
        ranked = rank_layers(
            self.quantizer, self._few_images(), method=best.method, mixed=self.mixed, progress=self.progress
        )
        return self._restore(best.method, ranked)

    def _restore(self, method: CalibrationMethod, ranked: Sequence[LayerHarm]) -> Int8Result:
        """Leave 1, 2, 4, … of the worst layers in float until it fits, then halve the step towards fewer."""
        floats = self.quantizer.layers.floats
        most = max(0, int((len(ranked) + floats) * MOST_IN_FLOAT) - floats)
        too_few, count = 0, 1
        while count <= most and not self._try(method, ranked[:count]):
            too_few, count = count, (min(2 * count, most) if count < most else most + 1)
        if count > most:
            raise self._refusal(ranked, most)
        tried_last = count
        while count - too_few > 1:
            tried_last = (count + too_few) // 2
            if self._try(method, ranked[:tried_last]):
                count = tried_last
            else:
                too_few = tried_last
        kept = ranked[:count]
        if tried_last != count:
            self._write(method, kept)
        marked = [replace(harm, kept_float=at < count) for at, harm in enumerate(ranked)]
        return self._result(method, tuple(marked))

    def _try(self, method: CalibrationMethod, kept: Sequence[LayerHarm] = ()) -> bool:
        self._write(method, kept)
        what = f"validation accuracy of {self.precision}, {method}"
        try:
            figure = measure_figure(
                self.out_path,
                self.images,
                threads=self.quantizer.threads,
                progress=self.progress,
                what=what,
                total=self.fp32.n,
            )
        except ModelError:
            # Probabilities that are no numbers: none of them is right.
            figure = SplitFigure(self.fp32.key, 0.0, Accuracy(0, self.fp32.n))
        trial = Trial(method, len(kept), figure)
        self.tried.append(trial)
        floats = f", {len(kept)} of {len(self.quantizer.layers.layers)} layers in float" if kept else ""
        self.progress.say(f"{self.precision}, {method}{floats}: {figure}, {self._drop(trial):+.1f} points lost")
        return within_budget(self.fp32, trial.figure, self.max_drop_points)

    def _write(self, method: CalibrationMethod, kept: Sequence[LayerHarm]) -> None:
        names = [harm.layer for harm in kept]
        self.quantizer.write(self.out_path, method=method, keep_float=names, mixed=self.mixed)

    def _drop(self, trial: Trial) -> float:
        return self.fp32.percent - trial.figure.percent

    def _few_images(self) -> NDArray[np.uint8]:
        """Some images of all classes: a split may have one class after another."""
        wanted = np.array(spread(range(self.fp32.n), RANKING_IMAGES))
        found, seen = [], 0
        for pixels, _ in self.images():
            found.append(pixels[wanted[(seen <= wanted) & (wanted < seen + len(pixels))] - seen])
            seen += len(pixels)
        return np.concatenate(found)

    def _result(self, method: CalibrationMethod, harms: tuple[LayerHarm, ...]) -> Int8Result:
        kept = sum(harm.kept_float for harm in harms)
        int8 = next(t.figure for t in self.tried if (t.method, t.kept_float) == (method, kept))
        both = answer_both(
            self.out_path,
            self.images,
            threads=self.quantizer.threads,
            progress=self.progress,
            what=self.precision,
            total=self.fp32.n,
        )
        drift = both.drift
        self.progress.say(f"{self.precision}: {drift}")
        require_exact(drift, self.precision)
        return Int8Result(
            self.out_path,
            self.precision,
            method,
            self.fp32,
            int8,
            tuple(self.tried),
            harms,
            self.quantizer.calibration_images,
            drift,
            both if both.card.operating_point is not None else None,
        )

    def _refusal(self, ranked: Sequence[LayerHarm], most: int) -> ParityError:
        best = max(self.tried, key=lambda trial: trial.figure.value)
        lost = f"{self._drop(best):.1f} points of {self.fp32.name}"
        worst = ", ".join(f"{harm.layer} ({harm.harm_points:.1f})" for harm in ranked[:3])
        return ParityError(
            f"{self.precision} loses {lost} at best, {self.max_drop_points:g} are allowed: fp32 {self.fp32}, "
            f"{self.precision} {best.figure} with {best.kept_float} layers in float "
            f"(at most {most}); layers that hurt most: {worst}",
            "allow more with `max_drop_points`, calibrate on more images with `calibration_images`, "
            "or `precision` fp32",
        )
