"""From the proven fp32 file to one of lower precision that costs no more accuracy than allowed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_export.export_job import ExportJob
from edge_export.precision.auto import choose
from edge_export.precision.exactness import BothAnswers
from edge_export.precision.fp16 import to_fp16
from edge_export.precision.int8 import Quantizer
from edge_export.precision.int8_budget import fit_budget
from edge_export.precision.split_figure import FIGURE_NAMES
from edge_export.proof.answers import onnx_model
from edge_export.proof.decision import Decision
from edge_export.proof.prove import Proof, prove
from edge_export.proof.sample_images import spread
from edge_runtime import ParityError, Preprocessing, Sample, UsageError, read_batches

# The search for an int8 file within its budget goes over the split many times; decoding takes longer than int8.
KEPT_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Lowered:
    """The precision that was reached, how (as the card carries it), a table for a person, and the file's proof.

    `both` are an int8 file's answers by kernels and exactly, where a threshold will decide.
    """

    precision: str
    how: dict[str, Any]
    table: str
    proof: Proof
    both: BothAnswers | None = None


def lower_precision(job: ExportJob, path: Path, fp32: Proof, what: str) -> Lowered:
    """Replace the fp32 file at `path` by one of the precision that was asked for; `auto` may leave it as it is.

    Raises:
        ParityError: more validation accuracy is lost than `max_drop_points`, unless by `auto`; an int8 file's answers
            are not those of its graph in exact arithmetic, or no calibration image can be read.
        ModelError: onnxruntime cannot convert the graph.
    """
    with tempfile.TemporaryDirectory(prefix="edge-export-") as name:
        # Under its own name, so that what the converters say names the file a person asked for; alone, for that name
        # may be one of theirs.
        source = Path(name) / "source" / what
        source.parent.mkdir()
        shutil.copyfile(path, source)
        made, precision, how, table, both = _convert(job, source, Path(name))
        if precision == "fp32":
            return Lowered(precision, how, table, fp32)
        proof = prove(job, onnx_model(made), what, exact=False)
        _require_budget(job, fp32, proof, what, precision)
        shutil.copyfile(made, path)
    return Lowered(precision, how, table, proof, both)


def _convert(job: ExportJob, source: Path, folder: Path) -> tuple[Path, str, dict[str, Any], str, BothAnswers | None]:
    """The file made, its precision, how it was made, a table for a person, and `Lowered.both`."""
    settings = job.settings
    if settings.precision == "fp16":
        made = folder / "fp16" / source.name
        made.parent.mkdir()
        to_fp16(source, made)
        return made, "fp16", {}, "", None
    if settings.precision not in ("int8", "auto"):
        raise UsageError(f"`precision` {settings.precision} has no conversion", "choose fp32, fp16, int8 or auto")
    calibration = _calibration_pixels(job)
    images = _Labelled(job.card.preprocessing, job.root, job.split.samples, job.split.decision)
    if settings.precision == "int8":
        made = folder / "int8.onnx"
        with Quantizer(source, calibration) as quantizer:
            result = fit_budget(quantizer, made, images, settings.allowed_drop_points, progress=job.progress)
        return made, result.precision, _for_card(result.to_json()), result.table(), result.both
    choice = choose(source, folder, calibration, images, settings.allowed_drop_points, progress=job.progress)
    how = {"candidates": choice.to_json()["candidates"]}
    if choice.int8 is not None:
        how |= _for_card(choice.int8.to_json())
    table = "\n".join(filter(None, (choice.int8.table() if choice.int8 else "", choice.table())))
    return choice.path, choice.precision, how, table, choice.int8.both if choice.int8 else None


def _for_card(result: dict[str, Any]) -> dict[str, Any]:
    """Without the ranking of all layers: export.json and the card need those that stayed in float."""
    return {key: value for key, value in result.items() if key not in ("precision", "layers")}


def _calibration_pixels(job: ExportJob) -> list[NDArray[np.uint8]]:
    samples = spread(job.training, job.settings.wanted_calibration_images)
    job.progress.begin("reading calibration images", len(samples))
    batches = []
    for batch in read_batches(job.card.preprocessing, job.root, samples):
        job.progress.advance(len(batch.samples) + len(batch.unreadable))
        if len(batch.samples):
            batches.append(batch.pixels)
    job.progress.end()
    if not batches:
        raise ParityError(
            f"none of the {len(samples)} training images to calibrate on can be read in {job.root}",
            "name the folder they are in now with `data`",
        )
    return batches


class _Labelled:
    """The validation split as batches of pixels and what is true of them, anew at each call; what fits is kept."""

    def __init__(self, preprocessing: Preprocessing, root: Path, samples: Sequence[Sample], decision: Decision) -> None:
        self.decision = decision
        self.preprocessing = preprocessing
        self.root = root
        self.samples = tuple(samples)
        picture_bytes = preprocessing.height_px * preprocessing.width_px * 3
        self._keeps = len(self.samples) * picture_bytes <= KEPT_BYTES
        self._kept: list[tuple[NDArray[np.uint8], NDArray[Any]]] | None = None

    def __call__(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[Any]]]:
        if self._kept is not None:
            yield from self._kept
            return
        seen = []
        for batch in read_batches(self.preprocessing, self.root, self.samples):
            if not len(batch.samples):
                continue
            pair = batch.pixels, self.decision.truth(batch.samples)
            if self._keeps:
                seen.append(pair)
            yield pair
        if self._keeps:
            self._kept = seen


def _require_budget(job: ExportJob, fp32: Proof, found: Proof, what: str, precision: str) -> None:
    """Raise ParityError where the whole split's accuracy drops by more than allowed."""
    before, after = fp32.validation.score, found.validation.score
    drop_points = 100 * (before - after)
    figure = FIGURE_NAMES[fp32.validation.score_name]
    if drop_points > job.settings.allowed_drop_points + 1e-9:
        raise ParityError(
            f"{what} in {precision} loses {drop_points:.1f} points of validation {figure}, more than "
            f"`max_drop_points` {job.settings.allowed_drop_points:g}: {before:.1%} as fp32, {after:.1%} "
            f"now, on {found.validation.whole.n} images; it differs most on {', '.join(found.validation.differing)}",
            "allow more with `max_drop_points`, or export fp32",
        )
