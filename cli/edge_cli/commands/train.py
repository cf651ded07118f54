"""edge train: images, a pretrained backbone and a strategy in, a run folder with a checkpoint out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edge_cli.console import Console, print_json
from edge_cli.options import JsonFlag, QuietFlag, SeedOption, ThreadsOption

app = typer.Typer(add_completion=False)

HELP = """Train a classifier on a folder of images, and leave a run folder with its best checkpoint.

Strategies, as a course on transfer learning teaches them:

feature-extraction: the pretrained backbone is frozen, a new head learns (Adam, 1e-3). Fast, hard to overfit: a few
hundred images, or images like ImageNet's photos.

fine-tune: the head learns at 1e-3, the last stage at 1e-4, the rest at 1e-5. The most accurate with a thousand images
or more, or with pictures unlike photos.

scratch: random weights, every layer at 1e-3. For very many images, or none of the kind ImageNet has.

auto: fine-tune where pretrained weights can be had, scratch where they cannot; it says which, and why.
"""


@app.command(name="train", help=HELP)
def train(
    data: Annotated[
        str,
        typer.Option(
            "--data", metavar="DIR", help="Folder of class folders, or of train/ val/ [test/]; or shapes, cifar10."
        ),
    ] = "shapes",
    backbone: Annotated[
        str, typer.Option("--backbone", metavar="NAME", help="Backbone; edge backbones lists them.")
    ] = "resnet18",
    strategy: Annotated[
        Literal["auto", "feature-extraction", "fine-tune", "scratch"],
        typer.Option("--strategy", help="What is trained."),
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
        Literal["none", "light", "standard"], typer.Option("--augment", help="Augmentation of the training images.")
    ] = "light",
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", help="Use at most N images in all.", show_default="all")
    ] = None,
    on_bad_image: Annotated[
        Literal["error", "skip"], typer.Option("--on-bad-image", help="Refuse unreadable images, or leave them out.")
    ] = "error",
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option("--device", help="Where to train.")] = "auto",
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

    settings = TrainSettings(
        data=data,
        backbone=backbone,
        strategy=strategy,
        weights=weights,
        epochs=epochs,
        batch_size=batch_size,
        image_size=image_size,
        augment=augment,
        limit=limit,
        on_bad_image=on_bad_image,
        device=device,
        out=out,
        threads=threads,
        seed=seed,
    )
    from edge_train import train as run_training

    with Console(quiet=quiet) as console:
        result = run_training(settings, console)
    if json_:
        print_json(result.summary)
        return 0
    for split, figures in result.summary["metrics"].items():
        low, high = figures["accuracy_interval_95"]
        print(
            f"{split} accuracy {figures['accuracy']:.1%} (n {figures['n']}, 95 % interval {low:.1%} to {high:.1%}), "
            f"calibration error {figures['expected_calibration_error']:.3f}"
        )
    print(f"best epoch {result.summary['best_epoch']}, {result.summary['seconds']:.0f} s: {result.run.best}")
    console.say(f"next: edge export --run {result.run.path}")
    return 0
