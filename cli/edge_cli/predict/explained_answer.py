"""edge predict --explain: where in one picture the network saw what it answered."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edge_cli.drawing_target import beside_picture
from edge_runtime import AveragedViews, Classifier, ModelError, UsageError, require_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime import ModelCard, Prediction, Run, TtaName


# A file equals its checkpoint within 1e-4 (docs/model-format.md); below fp32 it may differ by more.
_MOST_APART, _MOST_APART_BELOW_FP32 = 1e-3, 0.1


def explain_picture(
    image: Path,
    model: Path,
    run: Run | None,
    out: Path | None,
    threads: int | None,
    keys: Sequence[Path] = (),
    *,
    say: Callable[[str], None],
) -> tuple[Prediction, Path]:
    """Write the Grad-CAM of the run's checkpoint for the model's answer to `out`; gives that answer and the path.

    The checkpoint has to give that answer, too. A file below fp32 may be further from it, which `say` is told; not one
    that is to be signed with one of `keys`, as nobody signs the checkpoint. Of averaged views the first is drawn.

    Raises:
        MissingExtraError: torch is not installed.
        UsageError: no run belongs to the model, `out` is another's file, the model has other labels than the run, or
            is an ensemble.
        ModelError: the model is not signed with one of `keys`, or the checkpoint answers otherwise.
    """
    require_extra("train")
    if run is None or not run.best.is_file():
        raise UsageError(f"no best.pt lies beside {model}, and --explain needs one", "name its run with --run")
    from edge_train import Explainer, check_explanation_target, draw_explanation, load_checkpoint, write_explanation

    target = out or beside_picture(image)
    check_explanation_target(target)
    classifier = Classifier(model, threads=threads, require_signature=keys)
    if (kind := classifier.card.kind) != "single-label":
        raise UsageError(f"--explain draws what speaks for one label, and {model} is a {kind} model", "leave it out")
    if members := classifier.card.members:
        raise UsageError(
            f"{model} averages the answers of {len(members)} networks, and --explain looks into one",
            f"explain a member's own answer: edge explain {image} --run {members[0].get('run', 'RUN')}",
        )
    checkpoint = load_checkpoint(run.best)
    other = UsageError(f"{run.best} is not what {model} was exported from", "name the run of that model with --run")
    views = _views(classifier.card, checkpoint.card, other)
    answer = classifier.predict(image)
    pixels = classifier.preprocessing(image)
    seen = [pixels] if views is None else [views.cut(pixels[None], view)[0] for view in views.views]
    explainer = Explainer(checkpoint)
    # The first view is the one that the network sees without the others.
    explanation, *others = (explainer(each, answer.label) for each in seen)
    found = (explanation.probability + sum(other.probability for other in others)) / len(seen)
    _check_same(found, answer, model, run, classifier.card.precision, say, signed=bool(keys))
    title = f"{answer.label} {answer.probability:.1%}"
    notes = f"{image.name}: what speaks for {answer.label}, Grad-CAM of {checkpoint.card.backbone}"
    if views is not None:
        title += f" on average, {explanation.probability:.1%} by this view"
        say(f"{model} averages {len(seen)} views ({views.name}): the drawing is of the first, the picture's own")
    write_explanation(target, draw_explanation(seen[0], explanation.heat, title, notes))
    return answer, target


def _views(card: ModelCard, checkpoint: ModelCard, other: UsageError) -> AveragedViews | None:
    """The views that the file averages, None where it sees one; raises `other` where no such checkpoint became it."""
    try:
        views = AveragedViews(cast("TtaName", card.tta.get("name")), checkpoint.preprocessing) if card.tta else None
    except UsageError:
        raise other from None
    expected = checkpoint.preprocessing if views is None else views.preprocessing
    if checkpoint.labels != card.labels or expected != card.preprocessing:
        raise other
    return views


def _check_same(
    found: float,
    answer: Prediction,
    model: Path,
    run: Run,
    precision: str,
    say: Callable[[str], None],
    *,
    signed: bool,
) -> None:
    """Raise ModelError where the checkpoint, which gives `found`, is another network than the file, by its answer."""
    exact = precision == "fp32"
    # A broken checkpoint gives what is no number, and is not near either.
    if abs(found - answer.probability) <= (_MOST_APART if exact else _MOST_APART_BELOW_FP32):
        return
    said = f"{run.best} gives {answer.label} {found:.3f} where {model}"
    if signed:
        raise ModelError(
            f"{said}, which is signed, gives {answer.probability:.3f}: it would explain another network",
            "bring back the checkpoint that it was exported from",
        )
    if exact or not isfinite(found):
        raise ModelError(
            f"{said} gives {answer.probability:.3f}: it would explain another network",
            "name the run of that model with --run, or export it again",
        )
    say(f"note: {said} ({precision}) gives {answer.probability:.3f}: the drawing is of the former")
