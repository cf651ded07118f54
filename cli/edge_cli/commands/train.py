"""edge train: images, a pretrained backbone and a strategy in, a run folder with a checkpoint out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from edge_cli.comparison_table import print_comparison
from edge_cli.console import Console, print_json
from edge_cli.options import JsonFlag, QuietFlag, SeedOption, ThreadsOption
from edge_runtime import UsageError, find_run

app = typer.Typer(add_completion=False)

TEXT = """Train a classifier on a folder of images, and leave a run folder with its best checkpoint.

Strategies, as a course on transfer learning teaches them:

feature-extraction: the pretrained backbone is frozen, a new head learns (Adam, 1e-3). Fast, hard to overfit: a few
hundred images, or images like ImageNet's photos.

fine-tune: the head learns at 1e-3, the last stage at 1e-4, the rest at 1e-5. The most accurate with a thousand images
or more, or with pictures unlike photos.

scratch: random weights, every layer at 1e-3. For very many images, or none of the kind ImageNet has.

auto: by the number of images, the weights at hand and the machine; it says which, and why. all: the three on the same
split, side by side (edge compare).

Augmentation, of the training images only (edge data preview shows it): light for photos, standard for a few hundred
varied photos, document for text and signs, medical for scans, strong against overfitting, none to measure without.
"""
# A terminal breaks lines where it ends, not where this file does.
HELP = "\n\n".join(" ".join(paragraph.split()) for paragraph in TEXT.split("\n\n"))


FINE = "Fine-tuning"
RATES = "Optimisation"
REGULAR = "Regularisation"
DISTIL = "Distillation"
MACHINE = "Machine"


@app.command(name="train", help=HELP)
def train(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Option(
            "--data", metavar="DIR", help="Folder of class folders, or of train/ val/ (test/); or shapes, cifar10."
        ),
    ] = "shapes",
    backbone: Annotated[
        str, typer.Option("--backbone", metavar="NAME", help="Backbone; edge backbones lists them.")
    ] = "resnet18",
    strategy: Annotated[
        Literal["auto", "feature-extraction", "fine-tune", "scratch", "all"],
        typer.Option("--strategy", help="What is trained; all compares the three."),
    ] = "auto",
    weights: Annotated[
        str,
        typer.Option(
            "--weights", metavar="default|none|FILE", help="Pretrained weights: torchvision's, none, or a state dict."
        ),
    ] = "default",
    epochs: Annotated[int, typer.Option("--epochs", metavar="N", help="Times every training image is seen.")] = 5,
    batch_size: Annotated[int, typer.Option("--batch-size", metavar="N", help="Images per training step.")] = 32,
    image_size: Annotated[
        int | None,
        typer.Option(
            "--image-size",
            metavar="PX",
            help="Side of the model's input.",
            show_default="the data's or the backbone's own",
        ),
    ] = None,
    augment: Annotated[
        Literal["none", "light", "standard", "document", "medical", "strong"],
        typer.Option("--augment", help="Augmentation of the training images."),
    ] = "light",
    optimizer: Annotated[
        Literal["adam", "adamw", "sgd"],
        typer.Option("--optimizer", help="sgd takes ten times the rates.", rich_help_panel=RATES),
    ] = "adam",
    lr_scale: Annotated[
        float,
        typer.Option(
            "--lr-scale", metavar="X", help="Multiplies every learning rate of the strategy.", rich_help_panel=RATES
        ),
    ] = 1.0,
    schedule: Annotated[
        Literal["constant", "step", "plateau", "cosine", "one-cycle"],
        typer.Option("--schedule", help="How the rates change over the run.", rich_help_panel=RATES),
    ] = "cosine",
    warmup_epochs: Annotated[
        float,
        typer.Option(
            "--warmup-epochs",
            metavar="X",
            help="Epochs, or a part of one, in which the rates rise.",
            rich_help_panel=RATES,
        ),
    ] = 0.0,
    patience: Annotated[
        int | None,
        typer.Option(
            "--patience",
            metavar="N",
            help="Stop after N epochs without a better one.",
            show_default="never",
            rich_help_panel=RATES,
        ),
    ] = None,
    weight_decay: Annotated[
        float, typer.Option("--weight-decay", metavar="X", help="Of weights, not of biases.", rich_help_panel=REGULAR)
    ] = 0.0,
    label_smoothing: Annotated[
        float, typer.Option("--label-smoothing", metavar="X", help="From 0 to 0.9.", rich_help_panel=REGULAR)
    ] = 0.0,
    dropout: Annotated[
        float | None,
        typer.Option(
            "--dropout",
            metavar="P",
            help="Before the head.",
            show_default="the backbone's own",
            rich_help_panel=REGULAR,
        ),
    ] = None,
    clip_norm: Annotated[
        float | None,
        typer.Option(
            "--clip-norm", metavar="X", help="Bound on the gradients' norm.", show_default="none", rich_help_panel=RATES
        ),
    ] = None,
    class_balance: Annotated[
        Literal["none", "weights", "sampler"],
        typer.Option(
            "--class-balance", help="Weigh rare classes in the loss, or draw them more often.", rich_help_panel=REGULAR
        ),
    ] = "none",
    lr_decay_per_stage: Annotated[
        float | None,
        typer.Option(
            "--lr-decay-per-stage",
            metavar="X",
            help="Fine-tuning: each stage learns at X times the rate of the one above it.",
            show_default="0.1 for the last stage, 0.01 for the rest",
            rich_help_panel=FINE,
        ),
    ] = None,
    freeze_until: Annotated[
        str | None,
        typer.Option(
            "--freeze-until",
            metavar="STAGE",
            help="Fine-tuning: the stages before STAGE stay frozen, bit for bit.",
            show_default="none frozen",
            rich_help_panel=FINE,
        ),
    ] = None,
    unfreeze_every: Annotated[
        int | None,
        typer.Option(
            "--unfreeze-every",
            metavar="N",
            help="Fine-tuning: begin with the head; every N epochs one stage more learns.",
            show_default="all at once",
            rich_help_panel=FINE,
        ),
    ] = None,
    head_epochs: Annotated[
        int,
        typer.Option(
            "--head-epochs",
            metavar="N",
            help="Fine-tuning: the head alone learns in the first N epochs.",
            rich_help_panel=FINE,
        ),
    ] = 0,
    batch_norm: Annotated[
        Literal["train", "frozen"],
        typer.Option(
            "--batch-norm",
            help="Fine-tuning: normalise by the statistics of the pretraining, or by those of the batch. "
            "In frozen stages it is always the former.",
            rich_help_panel=FINE,
        ),
    ] = "frozen",
    views: Annotated[
        int | None,
        typer.Option(
            "--views",
            metavar="K",
            help="Feature extraction: views of each image that the backbone sees, once; the first as it is, the "
            "others augmented.",
            show_default="as many as epochs, up to 5,000 in all",
        ),
    ] = None,
    ema: Annotated[
        float | None,
        typer.Option(
            "--ema",
            metavar="DECAY",
            help="Keep a moving average of the weights, 0.999 for example.",
            show_default="none",
            rich_help_panel=REGULAR,
        ),
    ] = None,
    mixup: Annotated[
        float,
        typer.Option(
            "--mixup", metavar="ALPHA", help="Blend pairs of images; 0.2 for example.", rich_help_panel=REGULAR
        ),
    ] = 0.0,
    cutmix: Annotated[
        float,
        typer.Option(
            "--cutmix",
            metavar="ALPHA",
            help="Paste a part of one image into another; 1 for example.",
            rich_help_panel=REGULAR,
        ),
    ] = 0.0,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            metavar="RUN",
            help="Learn from the answers of a finished run, too (distillation).",
            show_default="none",
            rich_help_panel=DISTIL,
        ),
    ] = None,
    teacher_weight: Annotated[
        float,
        typer.Option("--teacher-weight", metavar="X", help="Its share of the loss.", rich_help_panel=DISTIL),
    ] = 0.5,
    teacher_temperature: Annotated[
        float,
        typer.Option(
            "--teacher-temperature",
            metavar="T",
            help="What both answers are softened by.",
            rich_help_panel=DISTIL,
        ),
    ] = 2.0,
    stem: Annotated[
        Literal["standard", "small"],
        typer.Option("--stem", help="small: 3×3, stride 1, no max-pooling; ResNets from scratch on 32 px images."),
    ] = "standard",
    hidden_units: Annotated[
        int | None,
        typer.Option(
            "--hidden-units",
            metavar="N",
            help="A hidden layer of N units in the head.",
            show_default="a linear head",
        ),
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"],
        typer.Option(
            "--precision",
            help="auto: bfloat16 where it pays; weights, measurement and export are float32 always.",
            rich_help_panel=MACHINE,
        ),
    ] = "auto",
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Go on with an interrupted run, with its own settings.",
            show_default="a new run",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", help="Use at most N images in all.", show_default="all")
    ] = None,
    on_bad_image: Annotated[
        Literal["error", "skip"], typer.Option("--on-bad-image", help="Refuse unreadable images, or leave them out.")
    ] = "error",
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], typer.Option("--device", help="Where to train.", rich_help_panel=MACHINE)
    ] = "auto",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder that run folders are put into.")] = Path(
        "runs"
    ),
    threads: ThreadsOption = None,
    seed: SeedOption = 0,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Run `edge_train.train` and print what came out."""
    from edge_train import TrainSettings

    if strategy == "all" and os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError("--strategy all runs in one process", "compare without torchrun, or name one strategy")
    settings = TrainSettings(
        data=data,
        backbone=backbone,
        strategy="auto" if strategy == "all" else strategy,
        weights=weights,
        epochs=epochs,
        batch_size=batch_size,
        image_size=image_size,
        augment=augment,
        optimizer=optimizer,
        lr_scale=lr_scale,
        schedule=schedule,
        warmup_epochs=warmup_epochs,
        patience=patience,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        dropout=dropout,
        clip_norm=clip_norm,
        class_balance=class_balance,
        lr_decay_per_stage=lr_decay_per_stage,
        freeze_until=freeze_until,
        unfreeze_every=unfreeze_every,
        head_epochs=head_epochs,
        batch_norm=batch_norm,
        views=views,
        ema=ema,
        mixup=mixup,
        cutmix=cutmix,
        teacher=teacher,
        teacher_weight=teacher_weight,
        teacher_temperature=teacher_temperature,
        stem=stem,
        hidden_units=hidden_units,
        precision=precision,
        limit=limit,
        on_bad_image=on_bad_image,
        device=device,
        out=out,
        threads=threads,
        seed=seed,
    )
    from edge_train import compare as run_comparison, resume as resume_training, train as run_training

    with Console(quiet=quiet) as console:
        if resume is not None:
            given = _settings_given(context)
            if given:
                raise UsageError(f"--resume takes the run's own settings, but {given[0]} is given", "drop one of them")
            result = resume_training(find_run(resume), console)
        elif strategy == "all":
            return print_comparison(run_comparison(settings, console), console, as_json=json_)
        else:
            result = run_training(settings, console)
    if os.environ.get("RANK", "0") != "0":
        return 0  # torchrun's first process speaks for all
    if json_:
        print_json(result.summary)
        return 0
    for split, figures in result.summary["metrics"].items():
        low, high = figures["accuracy_interval_95"]
        print(
            f"{split} accuracy {figures['accuracy']:.1%} (n {figures['n']}, 95 % interval {low:.1%} to {high:.1%}), "
            f"calibration error {figures['expected_calibration_error']:.3f}"
        )
    for finding in result.diagnosis:
        console.say(f"{finding.kind}: {finding.text}{f' Try {finding.flag}' if finding.flag else ''}")
    print(f"best epoch {result.summary['best_epoch']}, {result.summary['seconds']:.0f} s: {result.run.best}")
    console.say(f"repeat: {result.summary['command']}")
    console.say(f"report: {result.run.path / 'report.html'}")
    console.say(f"next: edge export --run {result.run.path}")
    return 0


def _settings_given(context: typer.Context) -> list[str]:
    """The options of training that were typed, which a resumed run would have to ignore."""
    free = {"resume", "json_", "quiet"}
    names = [
        name
        for name in context.params
        if name not in free and str(context.get_parameter_source(name)).rpartition(".")[2] == "COMMANDLINE"
    ]
    return [f"--{name.replace('_', '-')}" for name in names]
