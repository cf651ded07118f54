"""Everything a training run can be told, with its defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from edge_runtime import RUNS_FOLDER, UsageError

__all__ = [
    "OPTIMIZERS",
    "STRATEGIES",
    "ClassBalance",
    "OnBadImage",
    "OptimizerName",
    "ScheduleName",
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
    seed: int = 0
    limit: int | None = None
    on_bad_image: OnBadImage = "error"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = None
    out: Path = RUNS_FOLDER

    def __post_init__(self) -> None:
        for flag, value, least in (
            ("--epochs", self.epochs, 1),
            ("--batch-size", self.batch_size, 1),
            ("--threads", self.threads, 1),
            ("--seed", self.seed, 0),
            ("--limit", self.limit, 1),
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
        ):
            if number is not None and not low <= number <= high:
                raise UsageError(f"{flag} {number:g}: it must lie within {low:g} and {high:g}")
        for flag, word, known in (
            ("--optimizer", self.optimizer, OPTIMIZERS),
            ("--schedule", self.schedule, get_args(ScheduleName)),
            ("--class-balance", self.class_balance, get_args(ClassBalance)),
        ):
            if word not in known:
                raise UsageError(f"{flag} {word} is not known", f"choose {', '.join(known)}")
        if self.seed > LARGEST_SEED:
            raise UsageError(f"--seed {self.seed}: at most {LARGEST_SEED} is possible")
        if self.on_bad_image not in get_args(OnBadImage):
            raise UsageError(f"--on-bad-image {self.on_bad_image} is not known", "choose error or skip")
        if self.strategy not in ("auto", *STRATEGIES):
            raise UsageError(f"--strategy {self.strategy} is not known", f"choose auto, {', '.join(STRATEGIES)}")
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


def find_strategy(name: str) -> Strategy:
    """The strategy of that name. Raises UsageError for any other text."""
    for strategy in STRATEGIES:
        if strategy == name:
            return strategy
    raise UsageError(f"strategy {name} is not known", f"there are {', '.join(STRATEGIES)}")
