"""edge demo: the four commands, one after another, on pictures drawn for the purpose."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from pathlib import Path
from typing import Annotated

import typer

from edge_cli.console import fail
from edge_cli.flags import flag
from edge_runtime import find_images, python_command

app = typer.Typer(add_completion=False)

# From scratch on 300 pictures an epoch takes three seconds on two cores, and a dozen small-batch epochs reach 97 to
# 100 %; fine-tuning needs fewer, and has the same here so that the demo ends alike with and without a network.
EPOCHS = 12
BATCH_SIZE = 16


@app.command(name="demo", help="Train, export, predict and bench on drawn shapes; prints the four commands it ran.")
def demo(
    weights: Annotated[str, flag("--weights", "Pretrained weights to start from.", "default|none|FILE")] = "default",
    backbone: Annotated[str, flag("--backbone", "Backbone to train.", "NAME")] = "resnet18",
) -> int:
    """Run each command as a person would type it, in a process of its own."""
    from edge_data import shapes_folder

    started = time.perf_counter()
    picture = os.path.relpath(find_images(shapes_folder() / "test" / "triangle")[0])
    if picture.startswith(".."):
        picture = str(Path(picture).resolve())
    train = ["edge", "train", "--epochs", str(EPOCHS), "--batch-size", str(BATCH_SIZE), "--backbone", backbone]
    if weights != "default":
        train += ["--weights", weights]
    commands = [
        train,
        ["edge", "export", "--format", "onnx"],
        ["edge", "predict", "--image", picture],
        ["edge", "bench"],
    ]
    for command in [*commands[:2], ["edge", "evaluate"], *commands[2:]]:
        print(f"\n$ {shlex.join(command)}", flush=True)
        code = subprocess.run(python_command("-m", "edge_cli", *command[1:]), check=False).returncode
        if code:
            return fail(f"{shlex.join(command)} ended with exit code {code}", "", code)
    print(f"\nThat was {time.perf_counter() - started:.0f} seconds. The four commands:\n")
    for command in commands:
        print(f"    {shlex.join(command)}")
    return 0
