"""What a sweep tries: the values it draws from, and the trials that a seed draws of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

from edge_data import AugmentationName
from edge_runtime import Setting, UsageError, as_kind, check_settings
from edge_train import STRATEGIES, Strategy, TrainSettings, find_backbone

Engine: TypeAlias = Literal["local", "ray"]

# What a sweep gives each trial itself.
DRAWN = ("backbone", "strategy", "augment", "image_size", "lr_scale")
# Of ASHA, where none are given.
GRACE_EPOCHS, REDUCTION = 1, 3
# Two digits can be typed again.
DIGITS = 2

# The panels of the command's help.
_DRAWN, _HOW, _CHOICE = "What is drawn from", "How trials are run", "What is recommended"


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneSettings:
    """What a sweep draws from, how it runs its trials, and what it recommends one by.

    Every backbone meets every strategy, size and augmentation before one meets the same again; the rates are drawn
    log-uniformly between `lr_scale_low` and `lr_scale_high`. An image size of None is the data's or the backbone's own.
    `bench` is a report of `edge bench`, of the device the model is for; without one, latency is measured here.

    Raises:
        UsageError: a value that makes no sense, or values that contradict each other.
    """

    trials: Annotated[int, Setting("How many trainings to try.", "N", at_least=1, at_most=10_000)] = 20
    backbones: Annotated[
        tuple[str, ...],
        Setting("Backbones; several with commas.", "NAME", _DRAWN, "mobilenet_v3_small, mobilenet_v2, resnet18"),
    ] = ("mobilenet_v3_small", "mobilenet_v2", "resnet18")
    strategies: Annotated[
        tuple[str, ...],
        Setting("Strategies; several with commas.", "NAME", _DRAWN, "feature-extraction, fine-tune"),
    ] = ("feature-extraction", "fine-tune")
    augments: Annotated[
        tuple[str, ...], Setting("Augmentations; several with commas.", "NAME", _DRAWN, "light, standard")
    ] = ("light", "standard")
    image_sizes: Annotated[
        tuple[int | None, ...], Setting("Sides of the model's input.", "PX,PX", _DRAWN, "160,224", at_least=1)
    ] = (160, 224)
    lr_scale_low: Annotated[
        float, Setting("The least that multiplies the rates.", "X", _DRAWN, at_least=1e-6, at_most=1_000_000)
    ] = 0.3
    lr_scale_high: Annotated[
        float, Setting("The most that multiplies the rates.", "X", _DRAWN, at_least=1e-6, at_most=1_000_000)
    ] = 3.0
    engine: Annotated[
        Engine, Setting("local: one after another; ray: Ray Tune, several at once, the worse ones stopped.", panel=_HOW)
    ] = "local"
    address: Annotated[
        str | None,
        Setting("The Ray cluster to run on.", "auto|HOST:PORT", _HOW, "one of this machine, for the sweep"),
    ] = None
    grace_epochs: Annotated[int, Setting("Ray: no trial is stopped before it had N epochs.", "N", _HOW, at_least=1)] = (
        GRACE_EPOCHS
    )
    reduction: Annotated[
        int,
        Setting("Ray: of K trials one goes on, at each step K times as long (ASHA).", "K", _HOW, at_least=2),
    ] = REDUCTION
    bench: Annotated[
        Path | None,
        Setting("Latency on the device: JSON of edge bench there.", "FILE", _CHOICE, "measured on this machine"),
    ] = None
    max_latency_ms: Annotated[
        float | None, Setting("Recommend none that is slower.", "MS", _CHOICE, "no limit", above=0)
    ] = None
    keep_models: Annotated[
        Path | None,
        Setting("Keep the files that latency is measured with, to be measured on the device.", "DIR", _CHOICE, "none"),
    ] = None

    def __post_init__(self) -> None:
        for name in ("backbones", "strategies", "augments"):
            object.__setattr__(self, name, _named(name, getattr(self, name)))
        check_settings(self)
        object.__setattr__(self, "image_sizes", tuple(dict.fromkeys(self.image_sizes)))
        if not self.image_sizes:
            raise UsageError("`image_sizes` names none", "try 160,224")
        if self.lr_scale_low > self.lr_scale_high:
            raise UsageError(
                f"`lr_scale_low` {self.lr_scale_low:g} is more than `lr_scale_high` {self.lr_scale_high:g}",
                "exchange them",
            )
        known: dict[str, Sequence[str]] = {"strategies": STRATEGIES, "augments": get_args(AugmentationName)}
        for name, choices in known.items():
            for value in getattr(self, name):
                if value not in choices:
                    raise UsageError(f"`{name}` {value} is not known", f"choose from {', '.join(choices)}")
        if self.engine == "local" and self.address is not None:
            raise UsageError("`address` is that of a Ray cluster, but `engine` is local", "add `engine` ray")
        if self.engine == "local" and (self.grace_epochs, self.reduction) != (GRACE_EPOCHS, REDUCTION):
            raise UsageError(
                "`grace_epochs` and `reduction` say when Ray stops a trial, but `engine` is local", "add `engine` ray"
            )


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a sweep: its number, from 1, and what it is trained with."""

    number: int
    settings: TrainSettings

    @property
    def drawn(self) -> dict[str, Any]:
        """What it was given of what the sweep draws."""
        return {name: getattr(self.settings, name) for name in DRAWN}

    @property
    def title(self) -> str:
        """Those in words."""
        drawn = self.settings
        size = "" if drawn.image_size is None else f" {drawn.image_size} px,"
        return f"{drawn.backbone}, {drawn.strategy},{size} augment {drawn.augment}, lr-scale {drawn.lr_scale:g}"


def draw_trials(space: TuneSettings, base: TrainSettings) -> tuple[Trial, ...]:
    """The trials that `base.seed` draws; the first of many are those of few. Fewer where there are not so many.

    Raises:
        UsageError: a backbone is unknown or too large for a size, weights that not all of them can have.
    """
    # Here, since --help, which makes flags of the settings, must not pay for it.
    import numpy as np

    _check(space, base)
    combinations = list(product(space.backbones, space.strategies, space.image_sizes, space.augments))
    fixed = space.lr_scale_low == space.lr_scale_high
    count = min(space.trials, len(combinations)) if fixed else space.trials
    trials = []
    for number in range(1, count + 1):
        turn, place = divmod(number - 1, len(combinations))
        order = np.random.default_rng([base.seed, turn]).permutation(len(combinations))
        backbone, strategy, size, augment = combinations[order[place]]
        share = np.random.default_rng([base.seed, turn, number]).random()
        low, high = math.log(space.lr_scale_low), math.log(space.lr_scale_high)
        rate = space.lr_scale_low if fixed else float(f"{math.exp(low + share * (high - low)):.{DIGITS}g}")
        own = replace(base, backbone=backbone, image_size=size, augment=augment, lr_scale=rate)
        trials.append(Trial(number, own.for_strategy(_strategy(strategy))))
    return tuple(trials)


def _check(space: TuneSettings, base: TrainSettings) -> None:
    """Refuse what every trial of a backbone or a strategy would fail by, before any is begun."""
    if base.folds is not None:
        raise UsageError("trials are compared on one split, not on `folds`", "drop `folds`")
    if base.prune is not None:
        raise UsageError("a sweep draws whole backbones, none to `prune`", "drop `prune`, and prune the best run")
    for name in space.backbones:
        backbone = find_backbone(name)
        small = [size for size in space.image_sizes if size is not None and size < backbone.smallest_px]
        if small:
            raise UsageError(
                f"`image_sizes` {small[0]} are too few pixels for {backbone.name}",
                f"its layers need at least {backbone.smallest_px}",
            )
    pretrained = [name for name in space.strategies if name != "scratch"]
    if base.weights == "none" and pretrained:
        raise UsageError(
            f"`strategies` {pretrained[0]} needs pretrained weights, but `weights` is none", "`strategies` scratch"
        )
    if base.weights not in ("default", "none") and len(space.backbones) > 1:
        raise UsageError(
            f"`weights` {base.weights} is of one backbone, but `backbones` names {len(space.backbones)}",
            "put a file called like each backbone into the folder EDGE_WEIGHTS_DIR, or name one backbone",
        )


def _strategy(name: str) -> Strategy:
    return next(each for each in STRATEGIES if each == name)


def _named(name: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Each word once, of texts that may have several with commas. Raises UsageError where there is none."""
    words = ",".join(as_kind(given, tuple[str, ...], f"`{name}`")).split(",")
    found = tuple(dict.fromkeys(stripped for word in words if (stripped := word.strip())))
    if not found:
        raise UsageError(f"`{name}` names none", "leave it out for the usual ones")
    return found
