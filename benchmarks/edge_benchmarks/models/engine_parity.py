"""The engines that a model file can be run by here, each held against onnxruntime's answers before it is timed.

The rule is `edge export`'s: a file of floats is answered within 1e-4 and with the same labels, int8 layers within what
their kernels may differ from exact arithmetic. Beyond that, as for a file of lower precision, labelled images must show
that no more accuracy is lost than was allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_benchmarks.models.contestant import Contestant
from edge_benchmarks.models.sourced_accuracy import SourcedAccuracy, measured_accuracy
from edge_data import EvaluationData
from edge_export import (
    MAX_DIFFERENCE,
    Answers,
    Model,
    Parity,
    Picture,
    check_parity,
    decision_of,
    expect,
    hostile_pictures,
    spread,
)
from edge_runtime import (
    MAX_DRIFT,
    MIN_AGREEMENT,
    Accuracy,
    Classifier,
    EdgeError,
    ModelError,
    RuntimeEngine,
    UsageError,
    has_bfloat16,
    has_xnnpack,
    missing_package,
    read_batches,
)

# As many as an export is proven on, and as its accuracy is compared on with the checkpoint's.
PROOF_IMAGES, ACCURACY_IMAGES = 64, 1000
# As far as the embedding, which it is made of, may differ; distances are in 0..2.
MAX_DISTANCE_DIFFERENCE = 1e-3


@dataclass(frozen=True, slots=True)
class HeldEngine:
    """What an engine's answers to a file were like beside onnxruntime's.

    `max_difference` and `agreement` are of `images` pictures and `made` ones; `unlike_agreement` is the share of them
    that both refuse for being unlike training, or both do not, None where the file cannot tell. `accuracy` and
    `onnxruntime_accuracy` are of labelled images, None where they were not asked. `refused` says why it is not timed,
    "" where it is.
    """

    model: str
    engine: RuntimeEngine
    images: int = 0
    made: int = 0
    max_difference: float | None = None
    agreement: float | None = None
    unlike_agreement: float | None = None
    accuracy: Accuracy | None = None
    onnxruntime_accuracy: Accuracy | None = None
    refused: str = ""

    def __str__(self) -> str:
        beside = (
            ""
            if self.max_difference is None or self.agreement is None
            else f"max |Δp| {self.max_difference:.2g}, {self.agreement:.1%} of the labels the same on {self.images} "
            f"pictures and {self.made} made ones"
        )
        if self.unlike_agreement is not None:
            beside += f", {self.unlike_agreement:.1%} alike or unlike training by both"
        if self.accuracy is not None and self.onnxruntime_accuracy is not None:
            beside += f"; {self.accuracy} right, by onnxruntime {self.onnxruntime_accuracy}"
        if self.refused:
            return f"{self.model} by {self.engine} is refused: {self.refused}{f' ({beside})' if beside else ''}"
        return f"{self.model} by {self.engine}: {beside}"

    def to_json(self) -> dict[str, Any]:
        """As `edge bench --engines --json` carries it."""
        accuracies = {
            name: None if value is None else value.to_json()
            for name, value in (("accuracy", self.accuracy), ("onnxruntime_accuracy", self.onnxruntime_accuracy))
        }
        return {**asdict(self), **accuracies, "refused": self.refused or None}


def engines_here() -> tuple[tuple[RuntimeEngine, ...], tuple[str, ...]]:
    """The engines beside onnxruntime's own that can be had here, and of the others why not."""
    found: list[RuntimeEngine] = []
    missing = []
    if missing_package("fast"):
        missing.append("without openvino: it is not installed (pip install 'edge-vision[fast]')")
    else:
        found.append("openvino")
        if has_bfloat16():
            found.append("openvino-bf16")
        else:
            missing.append("without openvino-bf16: this processor has no bfloat16 arithmetic")
    if has_xnnpack():
        found.append("xnnpack")
    else:
        missing.append("without xnnpack: this onnxruntime was built without it")
    return tuple(found), tuple(missing)


def hold_engines(
    contestant: Contestant,
    engines: Sequence[RuntimeEngine],
    *,
    pictures: Sequence[Path] = (),
    labelled: EvaluationData | None = None,
    max_drop_points: float | None = None,
) -> list[HeldEngine]:
    """Each of `engines` beside onnxruntime on `pictures`, some of the `labelled` images, and hostile ones.

    With `max_drop_points` an engine may answer otherwise, as long as it gets no more of the labelled images wrong.
    Raises ModelError where onnxruntime cannot run the file, UsageError where edge did not make it.
    """
    card = contestant.card
    if card is None:
        raise UsageError(
            f"{contestant.model} was not made by edge export, and other engines run what it makes", "leave it out"
        )
    known = [] if labelled is None else [labelled.root / each.path for each in spread(labelled.samples, PROOF_IMAGES)]
    shown = [Picture(path.name, path) for path in dict.fromkeys([*pictures, *known])]
    plain = Classifier(contestant.model)
    expected = expect(_side(plain), [*shown, *hostile_pictures(card.preprocessing)])
    held = []
    for engine in engines:
        found = HeldEngine(contestant.name, engine)
        try:
            other = Classifier(contestant.model, engine=engine)
            parity = check_parity(
                expected, _side(other), what=engine, tolerance=None, decision=decision_of(card), temperature=1.0
            )
        except EdgeError as error:
            held.append(replace(found, refused=error.message))
            continue
        found = replace(
            found,
            images=parity.images,
            made=parity.hostile_images,
            max_difference=max(parity.max_difference, parity.embedding_difference or 0.0),
            agreement=parity.top1_agreement,
            unlike_agreement=None if card.unlike is None else _unlike_agreement(plain, other, expected.pixels),
        )
        if found.unlike_agreement is not None and found.unlike_agreement < _least_agreement(card.precision):
            held.append(replace(found, refused="it takes other pictures for unlike training"))
        elif _is_equal(parity, card.precision):
            held.append(found)
        elif max_drop_points is None or labelled is None:
            held.append(replace(found, refused=_why(card.precision, asked=max_drop_points is not None)))
        else:
            held.append(_by_accuracy(found, plain, other, labelled, max_drop_points))
    return held


def beside_engines(
    contestant: Contestant, held: Sequence[HeldEngine], labelled: EvaluationData | None
) -> list[Contestant]:
    """The contestant, and the same file by each of its `held` engines that is not refused.

    Where one was allowed by its accuracy on `labelled` images, all have theirs on those: what the export recorded is of
    other images, and would not be compared with it.
    """
    taken = [each for each in held if not each.refused]
    weighed = [each.onnxruntime_accuracy for each in taken if each.onnxruntime_accuracy is not None]
    own = _sourced(weighed[0], labelled) if weighed and labelled is not None else contestant.known_accuracy
    found = [replace(contestant, known_accuracy=own) if weighed else contestant]
    for each in taken:
        other = contestant.run_by(each.engine, contestant.model)
        theirs = own if each.accuracy is None or labelled is None else _sourced(each.accuracy, labelled)
        found.append(replace(other, known_accuracy=theirs))
    return found


def _sourced(accuracy: Accuracy, labelled: EvaluationData) -> SourcedAccuracy:
    asked = [sample.path for sample in spread(labelled.samples, ACCURACY_IMAGES)]
    return measured_accuracy(accuracy, labelled.root, labelled.split, asked)


def _is_equal(parity: Parity, precision: str) -> bool:
    if precision.startswith("int8"):
        return parity.max_difference <= MAX_DRIFT and parity.top1_agreement >= _least_agreement(precision)
    return replace(parity, tolerance=MAX_DIFFERENCE).holds


def _least_agreement(precision: str) -> float:
    """The share of pictures that are to be decided alike."""
    return MIN_AGREEMENT if precision.startswith("int8") else 1.0


def _unlike_agreement(plain: Classifier, other: Classifier, pixels: NDArray[np.uint8]) -> float:
    """The share of pictures that both refuse, or both do not: the least over shares of known ones that can be asked.

    A picture at a threshold, which is the distance of one of validation's, may fall to either side by rounding.
    """
    scale = plain.card.unlike
    assert scale is not None, "the card has one"
    each = [pixels[at : at + 1] for at in range(len(pixels))]
    one = np.concatenate([plain.probabilities_and_distances(picture)[1] for picture in each])
    two = np.concatenate([_distance(other, picture) for picture in each])
    same = np.abs(one - two) <= MAX_DISTANCE_DIFFERENCE
    cuts = [scale.threshold(share) for share in scale.costs()] or [scale.distances[-1]]
    return min(float((same | (((one > cut) == (two > cut)) & np.isfinite(two))).mean()) for cut in cuts)


def _distance(by: Classifier, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`[1]`; NaN where the engine's distance is no number, which the runtime refuses."""
    try:
        return by.probabilities_and_distances(picture)[1]
    except ModelError:
        return np.full(1, np.nan, np.float32)


def _why(precision: str, *, asked: bool) -> str:
    allowed = f"{MAX_DRIFT:g}" if precision.startswith("int8") else f"{MAX_DIFFERENCE:g}"
    more = "and no labelled images are there to weigh them by" if asked else "`max_drop_points` may allow them"
    return f"its answers differ by more than {allowed}; {more}"


def _by_accuracy(
    found: HeldEngine, plain: Classifier, other: Classifier, labelled: EvaluationData, max_drop_points: float
) -> HeldEngine:
    """The engine with its accuracy, refused where too much is lost."""
    decision, samples = decision_of(plain.card), spread(labelled.samples, ACCURACY_IMAGES)
    before = after = n = 0
    for batch in read_batches(plain.preprocessing, labelled.root, samples):
        if len(batch.samples):
            truth = decision.truth(batch.samples)
            before += int(decision.hits(truth, plain.probabilities(batch.pixels)).sum())
            after += int(decision.hits(truth, other.probabilities(batch.pixels)).sum())
            n += len(batch.samples)
    if not n:
        return replace(found, refused=f"none of the labelled images in {labelled.root} can be read")
    lost = 100 * (before - after) / n
    found = replace(found, accuracy=Accuracy(after, n), onnxruntime_accuracy=Accuracy(before, n))
    if lost <= max_drop_points + 1e-9:
        return found
    return replace(found, refused=f"it loses {lost:.1f} points of accuracy, `max_drop_points` {max_drop_points:g}")


def _side(classifier: Classifier) -> Model:
    """One side of the comparison."""

    def answer(pixels: Any) -> Answers:
        embeddings = classifier.embeddings(pixels) if classifier.embedding_size else None
        return Answers(classifier.probabilities(pixels), embeddings)

    return Model(classifier.labels, classifier.preprocessing, answer)
