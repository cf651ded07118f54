"""Everything a training run can be told, with its defaults."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

from edge_data import AugmentationName, check_group_by
from edge_runtime import RUNS_FOLDER, LabelFrom, Seed, Setting, Threads, UsageError, check_settings, setting_fields
from edge_train.pruned_fields import check_pruning
from edge_train.seen_fields import check_start_size, check_views
from edge_train.targets.target_settings import check_targets
from edge_train.thawing_fields import check_thawing
from edge_train.word_lists import parse_trackers, words

Strategy: TypeAlias = Literal["feature-extraction", "fine-tune", "scratch"]
StrategyChoice: TypeAlias = Literal["auto", "feature-extraction", "fine-tune", "scratch"]
OnBadImage: TypeAlias = Literal["error", "skip"]
OptimizerName: TypeAlias = Literal["adam", "adamw", "sgd"]
ScheduleName: TypeAlias = Literal["constant", "step", "plateau", "cosine", "one-cycle"]
ClassBalance: TypeAlias = Literal["none", "weights", "sampler"]
BatchNormMode: TypeAlias = Literal["train", "frozen"]
Stem: TypeAlias = Literal["standard", "small"]
AttentionChoice: TypeAlias = Literal["none", "se", "cbam", "eca"]
Precision: TypeAlias = Literal["fp32", "bf16"]
PrecisionChoice: TypeAlias = Literal["auto", "fp32", "bf16"]
OneLabelCriterion: TypeAlias = Literal["accuracy", "balanced-accuracy", "loss", "auroc"]
# The last is that of pictures with any number of labels, and theirs alone.
Criterion: TypeAlias = Literal["accuracy", "balanced-accuracy", "loss", "auroc", "map"]
RecipeName: TypeAlias = Literal["medical", "products", "wildlife", "documents"]
BestBy: TypeAlias = Literal["auto", "accuracy", "balanced-accuracy", "loss", "auroc"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)


# The panels of the command's help.
_RATES, _REGULAR, _FINE, _DISTIL, _MACHINE = "Optimisation", "Regularisation", "Fine-tuning", "Distillation", "Machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """The settings of one run; each field says what it does and which values it takes.

    `data` is a folder, a manifest, `"shapes"` or `"cifar10"`, or several of them, which are one set; `weights` is
    `"default"` (the backbone's own), `"none"`, the path of a state dict or of a run, or `"hf:OWNER/NAME"`; `limit`
    bounds the images used, all splits together; `threads` bounds torch's and the decoder's threads. `recipe` says which
    recipe's values these are, and sets none itself: `find_recipe(NAME).settings(…)` does.

    Raises:
        UsageError: a value that makes no sense, or values that contradict each other.
    """

    data: Annotated[
        str | tuple[str, ...],
        Setting(
            "Class folders, train/ val/ (test/), or a list of images; shapes; cifar10. Several are one.",
            "DIR|FILE",
            shown_default="shapes",
        ),
    ] = "shapes"
    recipe: Annotated[
        RecipeName | None,
        Setting(
            "Settings for a field, medical, products, wildlife or documents, each said with its reason; what is given "
            "beside it wins.",
            "NAME",
            shown_default="none",
        ),
    ] = None
    multi_label: Annotated[
        bool,
        Setting("A picture has any number of labels: the list's cells are such as cat|dog."),
    ] = False
    tasks: Annotated[
        tuple[str, ...],
        Setting(
            "Columns of the list, each a question that one network answers; a cell may be empty. Several with commas.",
            "NAME",
            shown_default="the column label",
        ),
    ] = ()
    task_weights: Annotated[
        str,
        Setting("What each task's loss weighs; learned: with the network (docs/targets.md).", "equal|learned|NAME=X,…"),
    ] = "equal"
    label_from: Annotated[
        LabelFrom, Setting("Folder that names the class: the first below DIR or its split, or the image's own.")
    ] = "top"
    backbone: Annotated[
        str, Setting("Backbone (edge backbones lists them), timm:NAME, or FILE.py:FUNCTION for your own.", "NAME")
    ] = "resnet18"
    strategy: Annotated[StrategyChoice, Setting("What is trained.")] = "auto"
    weights: Annotated[
        str,
        Setting(
            "Pretrained weights: the backbone's own, none, a state dict, a run, or safetensors of a hub.",
            "default|none|FILE|hf:OWNER/NAME",
        ),
    ] = "default"
    epochs: Annotated[int, Setting("Times every training image is seen.", "N", at_least=1)] = 5
    batch_size: Annotated[int, Setting("Images per training step.", "N", at_least=1)] = 32
    accumulate: Annotated[
        int, Setting("Batches that make one step, their gradients summed: in the memory of one.", "N", at_least=1)
    ] = 1
    image_size: Annotated[
        int | None, Setting("Side of the model's input.", "PX", shown_default="the data's or the backbone's own")
    ] = None
    start_size: Annotated[
        int | None,
        Setting("Progressive resizing: train at so few pixels at first.", "PX", shown_default="image_size", at_least=8),
    ] = None
    augment: Annotated[AugmentationName, Setting("Augmentation of the training images.")] = "light"
    optimizer: Annotated[OptimizerName, Setting("sgd takes ten times the rates.", panel=_RATES)] = "adam"
    lr_scale: Annotated[
        float, Setting("Multiplies every learning rate of the strategy.", "X", _RATES, at_least=1e-6, at_most=1_000_000)
    ] = 1.0
    schedule: Annotated[ScheduleName, Setting("How the rates change over the run.", panel=_RATES)] = "cosine"
    warmup_epochs: Annotated[
        float, Setting("Epochs, or a part of one, in which the rates rise.", "X", _RATES, at_least=0)
    ] = 0.0
    patience: Annotated[
        int | None, Setting("Stop after N epochs without a better one.", "N", _RATES, "never", at_least=1)
    ] = None
    best_by: Annotated[
        BestBy,
        Setting(
            "The validation figure that the best epoch has, and that early stopping waits for; auto: accuracy, "
            "balanced where classes differ by more than 1:3.",
            panel=_RATES,
        ),
    ] = "auto"
    positive: Annotated[
        str | None,
        Setting(
            "Of two classes the one that must not be missed: a threshold chosen on validation decides for it.",
            "CLASS",
            shown_default="none; the more probable class",
        ),
    ] = None
    min_sensitivity: Annotated[
        float | None,
        Setting(
            "The share of the positive class's pictures that it finds, at least.", "X", None, "0.95", above=0, at_most=1
        ),
    ] = None
    weight_decay: Annotated[float, Setting("Of weights, not of biases.", "X", _REGULAR, at_least=0, at_most=1)] = 0.0
    label_smoothing: Annotated[float, Setting("From 0 to 0.9.", "X", _REGULAR, at_least=0, at_most=0.9)] = 0.0
    dropout: Annotated[
        float | None, Setting("Before the head.", "P", _REGULAR, "the backbone's own", at_least=0, at_most=0.95)
    ] = None
    clip_norm: Annotated[float | None, Setting("Bound on the gradients' norm.", "X", _RATES, "none", at_least=1e-6)] = (
        None
    )
    class_balance: Annotated[
        ClassBalance, Setting("Weigh rare classes in the loss, or draw them more often.", panel=_REGULAR)
    ] = "none"
    lr_decay_per_stage: Annotated[
        float | None,
        Setting(
            "Fine-tuning: each stage learns at X times the rate of the one above it.",
            "X",
            _FINE,
            "0.1 for the last stage, 0.01 for the rest",
            at_least=1e-3,
            at_most=1,
        ),
    ] = None
    freeze_until: Annotated[
        str | None,
        Setting("Fine-tuning: the stages before STAGE stay frozen, bit for bit.", "STAGE", _FINE, "none frozen"),
    ] = None
    unfreeze_every: Annotated[
        int | None,
        Setting(
            "Fine-tuning: begin with the head; every N epochs one stage more learns.",
            "N",
            _FINE,
            "all at once",
            at_least=1,
        ),
    ] = None
    head_epochs: Annotated[
        int, Setting("Fine-tuning: the head alone learns in the first N epochs.", "N", _FINE, at_least=0)
    ] = 0
    batch_norm: Annotated[
        BatchNormMode,
        Setting(
            "Fine-tuning: normalise by the statistics of the pretraining, or by those of the batch. "
            "In frozen stages it is always the former.",
            panel=_FINE,
        ),
    ] = "frozen"
    views: Annotated[
        int | None,
        Setting(
            "Feature extraction: views of each image that the backbone sees, once; the first as it is, the "
            "others augmented.",
            "K",
            shown_default="as many as epochs, up to 5,000 in all",
            at_least=1,
        ),
    ] = None
    ema: Annotated[
        float | None,
        Setting(
            "Keep a moving average of the weights, 0.999 for example.",
            "DECAY",
            _REGULAR,
            "none",
            at_least=0.5,
            at_most=0.99999,
        ),
    ] = None
    mixup: Annotated[
        float, Setting("Blend pairs of images; 0.2 for example.", "ALPHA", _REGULAR, at_least=0, at_most=10)
    ] = 0.0
    cutmix: Annotated[
        float,
        Setting("Paste a part of one image into another; 1 for example.", "ALPHA", _REGULAR, at_least=0, at_most=10),
    ] = 0.0
    teacher: Annotated[
        str | None, Setting("Learn from the answers of a finished run, too (distillation).", "RUN", _DISTIL, "none")
    ] = None
    teacher_weight: Annotated[float, Setting("Its share of the loss.", "X", _DISTIL, at_least=0, at_most=1)] = 0.5
    teacher_temperature: Annotated[
        float, Setting("What both answers are softened by.", "T", _DISTIL, at_least=0.1, at_most=100)
    ] = 2.0
    prune: Annotated[
        float | None,
        Setting(
            "Take this share of its channels from the run in `weights`, then fine-tune what is left.",
            "SHARE",
            _FINE,
            "none",
            above=0,
            at_most=0.9,
        ),
    ] = None
    stem: Annotated[Stem, Setting("small: 3×3, stride 1, no max-pooling; ResNets from scratch on 32 px images.")] = (
        "standard"
    )
    attention: Annotated[
        AttentionChoice, Setting("Attention after each stage of a convolutional backbone, at first the identity.")
    ] = "none"
    hidden_units: Annotated[
        int | None, Setting("A hidden layer of N units in the head.", "N", shown_default="a linear head", at_least=1)
    ] = None
    precision: Annotated[
        PrecisionChoice,
        Setting(
            "auto: bfloat16 where it is faster on this machine; weights, measurement and export are float32 always.",
            panel=_MACHINE,
        ),
    ] = "auto"
    limit: Annotated[int | None, Setting("Use at most N images in all.", "N", shown_default="all", at_least=1)] = None
    group_by: Annotated[
        str,
        Setting(
            "What stays on one side of the split beside copies and near copies: nothing more (auto), images in one "
            "folder below the class (folder), or those for which a regular expression finds the same in their path "
            "below the class, as patient(\\d+) does. none keeps nothing together.",
            "auto|none|folder|REGEX",
        ),
    ] = "auto"
    folds: Annotated[
        int | None,
        Setting(
            "Cross-validate: K runs, each trained on all images but a K-th and measured on that; then train on "
            "everything. For small sets.",
            "K",
            shown_default="one validation split",
            at_least=2,
        ),
    ] = None
    on_bad_image: Annotated[OnBadImage, Setting("Refuse unreadable images, or leave them out.")] = "error"
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Setting("Where to train.", panel=_MACHINE)] = "auto"
    track: Annotated[
        tuple[str, ...],
        Setting(
            "Log the run to another tool, too; several with commas, or the flag again (docs/tracking.md).",
            "tensorboard|mlflow|wandb|comet",
            shown_default="none",
        ),
    ] = ()
    out: Annotated[Path, Setting("Folder that run folders are put into.", "DIR")] = RUNS_FOLDER
    threads: Threads = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "track", parse_trackers(self.track))
        object.__setattr__(self, "tasks", words(self.tasks, "tasks"))
        check_settings(self)
        # As config.json and a caller may have it; one is what it is alone.
        if isinstance(self.data, tuple) and len(self.data) == 1:
            object.__setattr__(self, "data", self.data[0])
        # As they are read when it begins, however they are spelled, so that what is checked is what is trained.
        if (weights := self.weights.strip().lower()) in {"default", "none"}:
            object.__setattr__(self, "weights", weights)
        self._check_together()

    @property
    def step_images(self) -> int:
        """How many images one step of the optimiser is taken for."""
        return self.batch_size * self.accumulate

    def for_strategy(self, strategy: Strategy) -> TrainSettings:
        """The same settings for one strategy, without those that only another one takes."""
        changes: dict[str, Any] = {"strategy": strategy}
        own = {field.name: field.default for field in fields(self)}
        if strategy != "fine-tune":
            changes |= {name: own[name] for name in FINE_TUNING}
        changes |= {"start_size" if strategy == "feature-extraction" else "views": None}
        if strategy == "scratch":
            changes |= {"weights": "none"}
        else:
            changes |= {"stem": "standard"}
        return replace(self, **changes)

    def _check_together(self) -> None:
        if self.min_sensitivity is not None and self.positive is None:
            raise UsageError("`min_sensitivity` is that of the class in `positive`", "name the class, too")
        check_group_by(self.group_by)
        one_label_alone = {
            "positive": self.positive is not None,
            "folds": self.folds is not None,
            "teacher": self.teacher is not None,
            # Several labels of two pictures blend as one label does; where a task has none, there is nothing to blend.
            "mixup": self.mixup > 0 and not self.multi_label,
            "cutmix": self.cutmix > 0 and not self.multi_label,
            "class_balance": self.class_balance == "sampler",
        }
        check_targets(self.multi_label, self.tasks, self.task_weights, self.best_by, one_label_alone)
        if self.folds is not None and self.teacher is not None:
            raise UsageError(
                "`folds` measure on every image, and the `teacher` was trained on some of them", "drop one of them"
            )
        if self.warmup_epochs > self.epochs:
            raise UsageError(
                f"`warmup_epochs` {self.warmup_epochs:g} is more than all {self.epochs} `epochs`", "lower it"
            )
        if self.weights == "none" and self.strategy in ("feature-extraction", "fine-tune"):
            raise UsageError(
                f"`strategy` {self.strategy} needs pretrained weights, but `weights` is none",
                "drop `weights`, or choose `strategy` scratch",
            )
        if self.weights not in ("default", "none") and self.strategy == "scratch":
            raise UsageError(
                f"`strategy` scratch starts from random weights, but `weights` is {self.weights}",
                "drop `weights`, or choose `strategy` fine-tune",
            )
        if self.strategy in ("feature-extraction", "scratch"):
            for name, default in FINE_TUNING.items():
                if getattr(self, name) != default:
                    raise UsageError(
                        f"`{name}` is for fine-tuning, but `strategy` is {self.strategy}",
                        "drop it, or choose `strategy` fine-tune",
                    )
        check_pruning(self.prune, self.weights, self.folds)
        if (
            self.stem == "small"
            and self.prune is None
            and (self.strategy in ("feature-extraction", "fine-tune") or self.weights not in ("default", "none"))
        ):
            raise UsageError(
                "`stem` small has no pretrained weights: its first layer is another one",
                "choose `strategy` scratch, or drop `stem`",
            )
        check_views(self.views, self.strategy, self.attention, mixes=bool(self.mixup or self.cutmix))
        check_start_size(self.start_size, self.strategy, self.epochs)
        check_thawing(self.head_epochs, self.unfreeze_every, self.freeze_until, self.epochs)


# Name and default of those that shape fine-tuning alone.
FINE_TUNING: dict[str, Any] = {
    field.name: field.default for field in setting_fields(TrainSettings) if field.setting.panel == _FINE
}


def find_strategy(name: str) -> Strategy:
    """The strategy of that name. Raises UsageError for any other text."""
    for strategy in STRATEGIES:
        if strategy == name:
            return strategy
    raise UsageError(f"strategy {name} is not known", f"there are {', '.join(STRATEGIES)}")
