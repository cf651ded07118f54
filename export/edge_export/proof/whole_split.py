"""The whole validation split, classified by the file, and beside it by the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_export.proof.answers import Model, Pixels
from edge_export.proof.decision import MAX_DIFFERENCE, Decision, SplitMetrics, score
from edge_export.proof.parity import absolute_difference
from edge_export.proof.sample_images import spread
from edge_runtime import Accuracy, Evaluation, LabelledBatch, ParityError, Progress, Sample, evaluate_batches

# A second pass in torch costs several times the first in onnxruntime; so many show any difference that matters.
REFERENCE_IMAGES = 1000


@dataclass(frozen=True, slots=True)
class SplitAccuracy:
    """A file's figures on the whole split, and the checkpoint's accuracy on up to 1,000 images of it.

    `same_images` is the file's accuracy on the very images the checkpoint ran on; `recorded` is the entry of the split
    in the checkpoint's metrics, empty where training did not finish; `found` is what the file answered. Where a picture
    may have several labels, one that counts as right has all of them right. `shown` says which images they are:
    validation's or, of a model that learned from all, training's, or of one that was imported without images, drawn
    ones; the accuracy of the last two says nothing. `groups` are the split's, by path.
    """

    whole: SplitMetrics
    unreadable: int
    checkpoint: Accuracy
    same_images: Accuracy
    max_difference: float
    top1_agreement: float
    recorded: Mapping[str, Any]
    differing: tuple[str, ...] = field(default=(), compare=False)
    shown: str = "validation"
    found: Evaluation | None = field(default=None, compare=False, repr=False)
    groups: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def score(self) -> float:
        """The file's figure on the whole split, in 0..1: accuracy, mAP, or as `score` says."""
        return score(self.whole)[1]

    @property
    def score_name(self) -> str:
        """The key of `score` among the split's figures."""
        return score(self.whole)[0]

    def to_json(self) -> dict[str, Any]:
        """As the model card and export.json carry it, under the name of what was `shown`."""
        if self.shown != "validation":
            return {
                "n": self.whole.n,
                "unreadable": self.unreadable,
                "compared": self.checkpoint.n,
                "max_difference": self.max_difference,
                "top1_agreement": self.top1_agreement,
            }
        name = self.score_name
        right = "accuracy" if name == "accuracy" else "exact_match"
        return {
            "n": self.whole.n,
            "unreadable": self.unreadable,
            name: self.score,
            "checkpoint": {
                "n": self.checkpoint.n,
                right: self.checkpoint.share,
                f"{right}_of_file": self.same_images.share,
                "max_difference": self.max_difference,
                "top1_agreement": self.top1_agreement,
            },
            "recorded": {"n": self.recorded.get("n"), name: self.recorded.get(name)},
        }

    def require_equal(self, what: str) -> None:
        """Raise ParityError unless the file answered the split as the checkpoint did."""
        if self.top1_agreement < 1 or self.max_difference > MAX_DIFFERENCE:
            raise ParityError(
                f"{what} does not equal its checkpoint on the {self.shown} split: top-1 agreement "
                f"{self.top1_agreement:.1%}, max |Δp| {self.max_difference:.2g} (allowed {MAX_DIFFERENCE:g}) on "
                f"{self.checkpoint.n} images, accuracy {self.same_images.share:.1%} against "
                f"{self.checkpoint.share:.1%}; most on {', '.join(self.differing)}",
                "nothing was written; please report this with the versions that edge doctor prints",
            )


class SplitReference:
    """The checkpoint's answers to up to 1,000 images of a split, computed once for all the files of an export.

    `samples` lie below `root`; `recorded` is the split's entry in the checkpoint's metrics; `known` maps the paths
    that were seen so far to float32 `[classes]`; `shown` names the split, "validation", "training" or "drawn"; `groups`
    are its. `decision` says what is an answer, and a right one.
    """

    def __init__(
        self,
        model: Model,
        root: Path,
        samples: Sequence[Sample],
        recorded: Mapping[str, Any],
        shown: str = "validation",
        *,
        decision: Decision,
        groups: Mapping[str, str] | None = None,
    ) -> None:
        self.decision = decision
        self.shown = shown
        self.groups = groups or {}
        self.model = model
        self.root = root
        self.samples = tuple(samples)
        self.recorded = recorded
        self.known: dict[str, NDArray[np.float32]] = {}
        self._wanted = {sample.path for sample in spread(samples, REFERENCE_IMAGES)}

    def see(self, samples: Sequence[Sample], pixels: Pixels) -> None:
        """Run the checkpoint on those of `samples` that are among its images and not known yet."""
        paths = [sample.path for sample in samples]
        new = [at for at, path in enumerate(paths) if path in self._wanted and path not in self.known]
        if new:
            rows = self.model.answer(pixels[new]).probabilities
            self.known.update((paths[at], row) for at, row in zip(new, rows, strict=True))


def compare_split(reference: SplitReference, candidate: Model, progress: Progress, *, what: str) -> SplitAccuracy:
    """Classify every image of the split with the file, and compare with the checkpoint where that is run.

    Raises:
        DataError: none of the images can be read.
        ParityError: none of those that the checkpoint is run on can be read.
    """

    def answer(batch: LabelledBatch) -> NDArray[np.float32]:
        reference.see(batch.samples, batch.pixels)
        return candidate.answer(batch.pixels).probabilities

    progress.begin(f"{what} on the {reference.shown} split", len(reference.samples))
    found = evaluate_batches(
        answer,
        candidate.preprocessing,
        reference.root,
        reference.samples,
        labels=candidate.labels,
        on_image=progress.advance,
    )
    progress.end()
    places = [at for at, sample in enumerate(found.samples) if sample.path in reference.known]
    if not places:
        raise ParityError(
            f"none of the {reference.shown} images that the checkpoint is run on can be read in {reference.root}, so "
            "nothing can be proven",
            "name the folder they are in now with `data`",
        )
    names = [found.samples[at].path for at in places]
    decision, seen = reference.decision, [found.samples[at] for at in places]
    expected, rows = np.stack([reference.known[name] for name in names]), found.probabilities[places]
    difference = absolute_difference(expected, rows).max(axis=1)
    worst = np.argsort(-difference)[:3]
    return SplitAccuracy(
        whole=decision.measure(found.samples, found.probabilities),
        unreadable=len(found.unreadable),
        checkpoint=decision.right(seen, expected),
        same_images=decision.right(seen, rows),
        max_difference=float(difference.max()),
        top1_agreement=float(decision.same(expected, rows).mean()),
        recorded=reference.recorded,
        shown=reference.shown,
        found=found,
        groups=reference.groups,
        differing=tuple(f"{names[at]} ({difference[at]:.2g})" for at in worst),
    )
