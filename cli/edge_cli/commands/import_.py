"""edge import: a checkpoint that was trained elsewhere in, a run folder out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.console import Console, print_json
from edge_cli.flags import Options, flag, paragraphs, settings_command
from edge_cli.options import JsonFlag, QuietFlag
from edge_cli.split_scores import headline_text, print_scores
from edge_train import ImportSettings, parse_channels

if TYPE_CHECKING:
    from edge_train import ImportResult

app = typer.Typer(add_completion=False)

TEXT = """Make a run of a checkpoint that was trained elsewhere: to export, evaluate, explain, or fine-tune.

CHECKPOINT is of torchvision's reference scripts, timm's train.py, Lightning, fastai (learn.save) or DataParallel, a
bare state dict, safetensors, or hf:OWNER/NAME. No code in it is run. What stands before the names of its tensors and
how many classes it has are guessed, and said; weights that are not the backbone's are refused.

With --data the temperature is fitted and the accuracy measured on validation, as in training. Whether the checkpoint
learned from those images nobody can tell here.
"""
PICTURES = "What the network expects of a picture"
OWN = "the checkpoint's, or the backbone's own"


@settings_command(app, "import", ImportSettings, help=paragraphs(TEXT))
def import_(
    *,
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="File, or hf:OWNER/NAME.", show_default=False)
    ],
    labels: Annotated[
        str | None,
        flag(
            "--labels",
            "The classes in the order of the network's outputs: a text file, one a line, or with commas; imagenet.",
            "FILE|A,B,C",
            default="the checkpoint's, or the folders of --data",
        ),
    ] = None,
    mean: Annotated[
        str | None,
        flag("--mean", "Of red, green and blue in 0..1.", "R,G,B", panel=PICTURES, default=OWN),
    ] = None,
    std: Annotated[
        str | None,
        flag("--std", "Their standard deviation.", "R,G,B", panel=PICTURES, default=OWN),
    ] = None,
    options: Options,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Run `edge_train.import_checkpoint` and print what came out."""
    channels = {name: parse_channels(name, text) for name, text in (("mean", mean), ("std", std)) if text is not None}
    settings = options.make(ImportSettings, labels=labels, mean=channels.get("mean"), std=channels.get("std"))
    from edge_train import import_checkpoint

    with Console(quiet=quiet) as console:
        result = import_checkpoint(checkpoint, settings, progress=console)
    if json_:
        print_json(result.summary)
    else:
        _print(result, console)
    return 0


def _print(result: ImportResult, console: Console) -> None:
    summary = result.summary
    measured = bool(summary["metrics"])
    if measured:
        print_scores(summary)
    said = f"{headline_text(summary['metrics'])}, " if measured else ""
    print(f"{said}imported in {summary['seconds']:.1f} s: {result.run.best}")
    if measured:
        console.say(f"report: {result.run.path / 'report.html'}")
    console.say(f"next: edge export --run {result.run.path}")
