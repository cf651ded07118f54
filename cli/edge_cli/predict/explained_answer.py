"""edge predict --explain: where in one picture the network saw what it answered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_cli.drawing_target import beside_picture
from edge_runtime import Classifier, ModelError, UsageError, require_extra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime import Prediction, Run


# A file equals its checkpoint within 1e-4 (docs/model-format.md); below fp32 it may differ by more.
_MOST_APART, _MOST_APART_BELOW_FP32 = 1e-3, 0.1


def explain_picture(
    image: Path,
    model: Path,
    run: Run | None,
    out: Path | None,
    threads: int | None,
    keys: Sequence[Path] = (),
) -> tuple[Prediction, Path]:
    """Write the Grad-CAM of the run's checkpoint for the model's answer to `out`; gives that answer and the path.

    Where the model is to be signed with one of `keys`, the checkpoint, which nobody signs, has to give its answer, too.

    Raises:
        MissingExtraError: torch is not installed.
        UsageError: no run belongs to the model, `out` is another's file, or the model has other labels than the run.
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
    checkpoint = load_checkpoint(run.best)
    if checkpoint.card.labels != classifier.labels or checkpoint.card.preprocessing != classifier.preprocessing:
        raise UsageError(f"{run.best} is not what {model} was exported from", "name the run of that model with --run")
    answer = classifier.predict(image)
    pixels = classifier.preprocessing(image)
    explanation = Explainer(checkpoint)(pixels, answer.label)
    apart = abs(explanation.probability - answer.probability)
    most = _MOST_APART if classifier.card.precision == "fp32" else _MOST_APART_BELOW_FP32
    # A broken checkpoint gives what is no number, and is not near either.
    if keys and not apart <= most:
        raise ModelError(
            f"{run.best} gives {answer.label} {explanation.probability:.3f} where {model}, which is signed, gives "
            f"{answer.probability:.3f}: it would explain another network",
            "bring back the checkpoint that it was exported from",
        )
    title = f"{answer.label} {answer.probability:.1%}"
    notes = f"{image.name}: what speaks for {answer.label}, Grad-CAM of {checkpoint.card.backbone}"
    write_explanation(target, draw_explanation(pixels, explanation.heat, title, notes))
    return answer, target
