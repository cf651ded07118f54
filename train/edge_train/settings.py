"""Everything a training run can be told, with its defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from edge_runtime import RUNS_FOLDER, UsageError

__all__ = [
    "OPTIMIZERS",
    "STRATEGIES",
    "BatchNormMode",
    "ClassBalance",
    "OnBadImage",
    "OptimizerName",
    "Precision",
    "PrecisionChoice",
    "ScheduleName",
    "Stem",
    "Strategy",
    "StrategyChoice",
    "TrainSettings",
    "find_strategy",
]

Strategy: TypeAlias = Literal["feature-extraction", "fine-tune", "scratch"]
StrategyChoice: TypeAlias = Literal["auto", "feature-extraction", "fine-tune", "scratch"]
OnBadImage: TypeAlias = Literal["error", "skip"]
OptimizerName: TypeAlias = Literal["adam", "adamw", "sgd"]
ScheduleName: TypeAlias = Literal["constant", "step", "plateau", "cosine", "one-cycle"]
ClassBalance: TypeAlias = Literal["none", "weights", "sampler"]
BatchNormMode: TypeAlias = Literal["train", "frozen"]
Stem: TypeAlias = Literal["standard", "small"]
Precision: TypeAlias = Literal["fp32", "bf16"]
PrecisionChoice: TypeAlias = Literal["auto", "fp32", "bf16"]
LARGEST_SEED = 2**63 - 1  # torch's generator and JSON's readers take no larger one
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """The settings of one run.

    `data` is a folder, `"shapes"` or `"cifar10"`; `weights` is `"default"` (torchvision's), `"none"` or
    the path of a state dict; `image_size` is the side of the square model input in pixels, None for the
    data's or the backbone's own; `limit` bounds the images used, all splits together; `threads` bounds
    torch's and the decoder's threads; `out` is the folder that run folders are put into. `lr_scale`
    multiplies every learning rate of the strategy; `warmup_epochs` may be a fraction; `patience` is the number
    of epochs without a better one after which training stops, None for never; `clip_norm` bounds the norm of
    all gradients together.

    `lr_decay_per_stage` to `batch_norm` shape fine-tuning alone (see `edge_train.strategy.plan.Plan`). `views` is how
    many views of each image feature extraction embeds, None for as many as epochs as long as that is cheap.
    `ema` is the decay of the moving average of the weights, `mixup` and `cutmix` are the Beta distribution's
    alpha, 0 for none. `teacher` is the run that is distilled, `teacher_weight` its share of the loss and
    `teacher_temperature` what softens its answers. `hidden_units` puts a hidden layer into the head.

    Raises:
        UsageError: a value that makes no sense, or values that contradict each other.
    """

    data: str = "shapes"
    backbone: str = "resnet18"
    strategy: StrategyChoice = "auto"
    weights: str = "default"
    epochs: int = 5
    batch_size: int = 32
    image_size: int | None = None
    augment: str = "light"
    optimizer: OptimizerName = "adam"
    lr_scale: float = 1.0
    schedule: ScheduleName = "cosine"
    warmup_epochs: float = 0.0
    patience: int | None = None
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    dropout: float | None = None
    clip_norm: float | None = None
    class_balance: ClassBalance = "none"
    lr_decay_per_stage: float | None = None
    freeze_until: str | None = None
    unfreeze_every: int | None = None
    head_epochs: int = 0
    batch_norm: BatchNormMode = "frozen"
    views: int | None = None
    ema: float | None = None
    mixup: float = 0.0
    cutmix: float = 0.0
    teacher: str | None = None
    teacher_weight: float = 0.5
    teacher_temperature: float = 2.0
    stem: Stem = "standard"
    hidden_units: int | None = None
    precision: PrecisionChoice = "auto"
    seed: int = 0
    limit: int | None = None
    on_bad_image: OnBadImage = "error"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = None
    out: Path = RUNS_FOLDER

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_words()
        self._check_together()

    def for_strategy(self, strategy: Strategy) -> TrainSettings:
        """The same settings for one strategy, without those that only another one takes."""
        changes: dict[str, Any] = {"strategy": strategy}
        own = {field.name: field.default for field in fields(self)}
        if strategy != "fine-tune":
            changes |= {name: own[name] for name in FINE_TUNING}
        if strategy != "feature-extraction":
            changes |= {"views": None}
        if strategy == "scratch":
            changes |= {"weights": "none"}
        else:
            changes |= {"stem": "standard"}
        return replace(self, **changes)

    def _check_numbers(self) -> None:
        for flag, value, least in (
            ("--epochs", self.epochs, 1),
            ("--batch-size", self.batch_size, 1),
            ("--threads", self.threads, 1),
            ("--seed", self.seed, 0),
            ("--limit", self.limit, 1),
            ("--unfreeze-every", self.unfreeze_every, 1),
            ("--head-epochs", self.head_epochs, 0),
            ("--views", self.views, 1),
            ("--hidden-units", self.hidden_units, 1),
        ):
            if value is not None and value < least:
                raise UsageError(f"{flag} {value}: at least {least} is needed")
        for flag, number, low, high in (
            ("--lr-scale", self.lr_scale, 1e-6, 1e6),
            ("--warmup-epochs", self.warmup_epochs, 0, self.epochs),
            ("--patience", self.patience, 1, math.inf),
            ("--weight-decay", self.weight_decay, 0, 1),
            ("--label-smoothing", self.label_smoothing, 0, 0.9),
            ("--dropout", self.dropout, 0, 0.95),
            ("--clip-norm", self.clip_norm, 1e-6, math.inf),
            ("--lr-decay-per-stage", self.lr_decay_per_stage, 1e-3, 1),
            ("--ema", self.ema, 0.5, 0.99999),
            ("--mixup", self.mixup, 0, 10),
            ("--cutmix", self.cutmix, 0, 10),
            ("--teacher-weight", self.teacher_weight, 0, 1),
            ("--teacher-temperature", self.teacher_temperature, 0.1, 100),
        ):
            if number is not None and not low <= number <= high:
                raise UsageError(f"{flag} {number:g}: it must lie within {low:g} and {high:g}")
        if self.seed > LARGEST_SEED:
            raise UsageError(f"--seed {self.seed}: at most {LARGEST_SEED} is possible")

    def _check_words(self) -> None:
        for flag, word, known in (
            ("--strategy", self.strategy, get_args(StrategyChoice)),
            ("--optimizer", self.optimizer, OPTIMIZERS),
            ("--schedule", self.schedule, get_args(ScheduleName)),
            ("--class-balance", self.class_balance, get_args(ClassBalance)),
            ("--on-bad-image", self.on_bad_image, get_args(OnBadImage)),
            ("--batch-norm", self.batch_norm, get_args(BatchNormMode)),
            ("--stem", self.stem, get_args(Stem)),
            ("--precision", self.precision, get_args(PrecisionChoice)),
        ):
            if word not in known:
                raise UsageError(f"{flag} {word} is not known", f"choose {', '.join(known)}")

    def _check_together(self) -> None:
        if self.weights == "none" and self.strategy in ("feature-extraction", "fine-tune"):
            raise UsageError(
                f"--strategy {self.strategy} needs pretrained weights, but --weights is none",
                "drop --weights none, or choose --strategy scratch",
            )
        if self.weights not in ("default", "none") and self.strategy == "scratch":
            raise UsageError(
                f"--strategy scratch starts from random weights, but --weights is {self.weights}",
                "drop --weights, or choose --strategy fine-tune",
            )
        if self.strategy in ("feature-extraction", "scratch"):
            for name, default in FINE_TUNING.items():
                if getattr(self, name) != default:
                    raise UsageError(
                        f"--{name.replace('_', '-')} is for fine-tuning, but --strategy is {self.strategy}",
                        "drop it, or choose --strategy fine-tune",
                    )
        if self.stem == "small" and (
            self.strategy in ("feature-extraction", "fine-tune") or self.weights not in ("default", "none")
        ):
            raise UsageError(
                "--stem small has no pretrained weights: its first layer is another one",
                "choose --strategy scratch, or drop --stem",
            )
        if self.views is not None and self.strategy in ("fine-tune", "scratch"):
            raise UsageError(
                f"--views is for feature extraction, but --strategy is {self.strategy}: it sees a new view every epoch",
                "drop --views, or choose --strategy feature-extraction",
            )
        if self.views is not None and (self.mixup or self.cutmix):
            raise UsageError(
                "--views embeds each image once, which --mixup and --cutmix cannot mix", "drop one of them"
            )
        if self.head_epochs >= self.epochs:
            raise UsageError(
                f"--head-epochs {self.head_epochs} leaves none of {self.epochs} epochs to fine-tune in",
                "raise --epochs, or choose --strategy feature-extraction",
            )


FINE_TUNING: dict[str, Any] = {
    "lr_decay_per_stage": None,
    "freeze_until": None,
    "unfreeze_every": None,
    "head_epochs": 0,
    "batch_norm": "frozen",
}


def find_strategy(name: str) -> Strategy:
    """The strategy of that name. Raises UsageError for any other text."""
    for strategy in STRATEGIES:
        if strategy == name:
            return strategy
    raise UsageError(f"strategy {name} is not known", f"there are {', '.join(STRATEGIES)}")
