"""What a finished run suffers from, in words, each with the flag to try next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from edge_runtime import Accuracy, Metrics

Kind: TypeAlias = Literal[
    "rate-too-high",
    "rate-too-low",
    "overfitting",
    "underfitting",
    "more-epochs",
    "imbalance",
    "never-predicted",
    "small-validation",
    "calibration",
]

# A healthy training loss wobbles by a few per cent from epoch to epoch; a third more, and by more than a tenth of
# a nat so that 0.001 -> 0.01 does not count, is a step that overshot.
JUMP, JUMP_NATS = 1.33, 0.1
# Every strategy here lowers the loss by far more in its first two epochs, unless the steps are too small.
BARELY = 0.05
BARELY_EPOCHS = 3
# On 300 drawn shapes five epochs from scratch end near 70 %, a dozen near 100 %.
SHORT_RUN = 12
# Below half of chance level the task is mostly learned, and a flat loss is a finished one.
LEARNED = 0.5
# Augmentation and dropout make training accuracy look worse than it is, so a gap of ten points is a real one.
GAP = 0.10
# Validation loss rises a little at the end of most good runs, while accuracy still improves.
RISE, RISE_NATS = 1.25, 0.1
# The course calls a network that gets one training image in five wrong too weak or too tightly held.
UNDERFIT_ACCURACY = 0.80
# Falling by less in the last epoch, another epoch gains less than the intervals here can show.
STILL_FALLING = 0.05
NEARLY_RIGHT = 0.98
# The ratio `edge data check` reports too: a network that never answers the rare class loses at most a tenth.
IMBALANCE = 10
# A network that is right four times in five misses all of three images once in a hundred times.
NEVER_SUPPORT = 3
# The strategies of the course differ by a few points: an interval six points wide holds them all.
WIDE = 0.06
# Guo et al. 2017, table 1: after temperature scaling, networks are within about two points; five is far off.
MISCALIBRATED = 0.05
CALIBRATION_BINS = 15

NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """One epoch: mean losses in nats, accuracies in 0..1, training time in seconds.

    `chosen_by` is the validation figure that the best epoch was chosen by, where it is known.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float = 0.0
    chosen_by: float | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One finding: its kind, sentences for people, and the flag of `edge train` to try next."""

    kind: Kind
    text: str
    flag: str


def diagnose(
    history: Sequence[EpochFigures],
    *,
    strategy: str,
    epochs: int,
    counts: Mapping[str, int],
    val: Metrics | None,
    backbone: str = "",
    augment: str = "light",
    limit: int | None = None,
    seed: int = 0,
) -> tuple[Diagnosis, ...]:
    """Read the troubleshooting list against one run; most pressing first, nothing where nothing stands out.

    `epochs` is how many were asked for, `counts` the training images of each class, `val` the best epoch on the
    validation split with calibrated probabilities. Any history is accepted: empty, one epoch, NaN.
    """
    classes = max(2, len(val.labels) if val else len(counts))
    val_n = val.n if val else 0
    learning = (
        _rate_too_high(history, classes)
        or _rate_too_low(history, classes)
        or _overfitting(history, val_n, strategy, augment)
        or _more_epochs(history, epochs)
        or _underfitting(history, strategy, backbone)
    )
    found = [learning, _imbalance(counts), *([] if val is None else _of_validation(val, limit, seed))]
    return tuple(diagnosis for diagnosis in found if diagnosis)


def _of_validation(val: Metrics, limit: int | None, seed: int) -> list[Diagnosis | None]:
    if val.n == 0:
        return []
    return [_never_predicted(val), _small_validation(val, limit, seed), _calibration(val)]


def _rate_too_high(history: Sequence[EpochFigures], classes: int) -> Diagnosis | None:
    flag = "--lr-scale 0.1"
    for row in history:
        if not (math.isfinite(row.train_loss) and math.isfinite(row.val_loss)):
            text = f"In epoch {row.epoch} the loss was no longer a number: the steps are too large."
            return Diagnosis("rate-too-high", text, flag)
    lowest = math.inf
    for at, row in enumerate(history):
        jumped = row.train_loss > max(JUMP * lowest, lowest + JUMP_NATS)
        if jumped and min(later.train_loss for later in history[at:]) >= lowest:
            text = (
                f"The training loss jumped from {lowest:.3f} to {row.train_loss:.3f} in epoch {row.epoch}: "
                "the steps are too large, and undo what was learned."
            )
            return Diagnosis("rate-too-high", text, flag)
        lowest = min(lowest, row.train_loss)
    chance = math.log(classes)
    if len(history) > 1 and history[-1].train_loss > JUMP * chance + JUMP_NATS:
        text = (
            f"The training loss ended at {history[-1].train_loss:.3f}, worse than the {chance:.3f} of guessing among "
            f"{classes} classes: the steps are too large."
        )
        return Diagnosis("rate-too-high", text, flag)
    return None


def _rate_too_low(history: Sequence[EpochFigures], classes: int) -> Diagnosis | None:
    if len(history) < BARELY_EPOCHS:
        return None
    first, last = history[0].train_loss, min(row.train_loss for row in history)
    if first - last >= BARELY * abs(first) or last < LEARNED * math.log(classes):
        return None
    text = (
        f"The training loss barely moved in {len(history)} epochs, {first:.3f} to {last:.3f}: the steps are too small. "
        "If larger ones make it jump, the network cannot tell these classes apart: look at the labels."
    )
    return Diagnosis("rate-too-low", text, "--lr-scale 10")


def _overfitting(history: Sequence[EpochFigures], val_n: int, strategy: str, augment: str) -> Diagnosis | None:
    if len(history) < 2:
        return None
    last = history[-1]
    gap = last.train_accuracy - last.val_accuracy
    best = min(history, key=lambda row: row.val_loss)
    rising = last.val_loss > max(RISE * best.val_loss, best.val_loss + RISE_NATS) and last.train_loss < best.train_loss
    if rising:
        text = (
            f"The validation loss rose from {best.val_loss:.3f} in epoch {best.epoch} to {last.val_loss:.3f} while the "
            "training loss went on falling: the network learns its training images by heart."
        )
    elif gap > GAP and last.train_accuracy > _upper(last.val_accuracy, val_n):
        text = (
            f"Training accuracy is {last.train_accuracy:.1%}, validation {last.val_accuracy:.1%}: a gap of "
            f"{100 * gap:.0f} points, because the network learns its training images by heart."
        )
    else:
        return None
    if strategy == "scratch":
        return Diagnosis("overfitting", f"{text} Pretrained weights need fewer images.", "--strategy fine-tune")
    if augment in ("none", "light"):
        return Diagnosis("overfitting", f"{text} More varied pictures make that harder.", "--augment standard")
    return Diagnosis("overfitting", f"{text} Stopping in time or dropout makes that harder.", "--dropout 0.3")


def _upper(accuracy: float, n: int) -> float:
    """The upper end of the 95 % interval of `accuracy` measured on `n` images; the accuracy itself where n is 0."""
    if n < 1 or not 0 <= accuracy <= 1:
        return accuracy
    return Accuracy.near(accuracy, n).interval[1]


def _more_epochs(history: Sequence[EpochFigures], epochs: int) -> Diagnosis | None:
    # Fewer rows than asked for: it stopped early, since it was no longer improving.
    if len(history) < 2 or len(history) < epochs:
        return None
    before, last = history[-2], history[-1]
    lowest = min(row.val_loss for row in history[:-1])
    falling = last.val_loss < (1 - STILL_FALLING) * lowest and last.train_loss < before.train_loss
    if not falling or last.val_accuracy >= NEARLY_RIGHT:
        return None
    text = (
        f"It was still improving when it stopped: the validation loss fell from {lowest:.3f} to {last.val_loss:.3f} "
        "in the last epoch."
    )
    return Diagnosis("more-epochs", text, f"--epochs {2 * max(epochs, len(history))}")


def _underfitting(history: Sequence[EpochFigures], strategy: str, backbone: str) -> Diagnosis | None:
    if len(history) < 2:
        return None
    best = max(max(row.train_accuracy, row.val_accuracy) for row in history)
    if not best < UNDERFIT_ACCURACY:
        return None
    if strategy == "scratch" and len(history) < SHORT_RUN:
        text = (
            f"From random weights {len(history)} epochs are few, and the schedule slows down with the last of them: "
            f"training accuracy is still {history[-1].train_accuracy:.1%}."
        )
        return Diagnosis("more-epochs", text, f"--epochs {max(SHORT_RUN, 2 * len(history))}")
    text = (
        f"Even on its training images accuracy stays at {history[-1].train_accuracy:.1%} and the loss has flattened: "
        "the network is too weak, or held too tightly, for this task."
    )
    if strategy != "fine-tune":
        return Diagnosis("underfitting", text, "--strategy fine-tune")
    stronger = next((name for name in ("resnet50", "convnext_tiny") if name != backbone), "resnet50")
    return Diagnosis("underfitting", text, f"--backbone {stronger}")


def _imbalance(counts: Mapping[str, int]) -> Diagnosis | None:
    if not counts:
        return None
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[most] <= IMBALANCE * counts[least]:
        return None
    text = (
        f"{most} has {counts[most]} training images, {least} only {counts[least]}: "
        f"a network may ignore {least} and still score well. Read its recall in the table, not the accuracy."
    )
    return Diagnosis("imbalance", text, "--class-balance weights")


def _never_predicted(val: Metrics) -> Diagnosis | None:
    answered, support = val.confusion.sum(axis=0), val.confusion.sum(axis=1)
    never = [name for name, a, s in zip(val.labels, answered, support, strict=True) if a == 0 and s >= NEVER_SUPPORT]
    if not never:
        return None
    names = ", ".join(never[:NAMES_SHOWN])
    more = f" and {len(never) - NAMES_SHOWN} more" if len(never) > NAMES_SHOWN else ""
    text = f"On the {val.n} validation images it never once answered {names}{more}, though such images are among them."
    return Diagnosis("never-predicted", text, "--class-balance sampler")


def _small_validation(val: Metrics, limit: int | None, seed: int) -> Diagnosis | None:
    low, high = val.interval
    if high - low <= WIDE:
        return None
    text = (
        f"With {val.n} validation images, {val.accuracy:.1%} may be anything from {low:.1%} to {high:.1%} (95 % "
        f"interval, {100 * (high - low):.0f} points): two runs closer than that may differ by luck alone. "
    )
    if limit is not None:
        return Diagnosis("small-validation", f"{text}Use more of the images.", f"--limit {2 * limit}")
    advice = "Collect more, or compare the averages of several seeds."
    return Diagnosis("small-validation", text + advice, f"--seed {seed + 1}")


def _calibration(val: Metrics) -> Diagnosis | None:
    # What the error of a perfect network would be on average: the bins' accuracies scatter by sqrt(p (1 - p) / n_b),
    # whose mean absolute value is sqrt(2 / pi) of that; summed over the bins it is largest when they are equal.
    scatter = math.sqrt(2 / math.pi * val.accuracy * (1 - val.accuracy) * CALIBRATION_BINS / val.n)
    if not val.calibration_error > MISCALIBRATED + scatter:
        return None
    # One group cannot be cross-fitted.
    where = ", and on the very images that it was fitted on," if val.calibration_folds == 0 else ""
    text = (
        f"Even after calibration{where} its probabilities are off by {100 * val.calibration_error:.1f} points on "
        "average: do not use them as a threshold yet."
    )
    return Diagnosis("calibration", text, "--label-smoothing 0.1")
