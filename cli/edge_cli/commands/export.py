"""edge export: the best checkpoint as one file, proven equal to it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edge_cli.choose_model import choose_run
from edge_cli.console import Console, print_json, print_table
from edge_cli.flags import Options, flag, paragraphs, settings_command
from edge_cli.options import JsonFlag, QuietFlag
from edge_cli.split_scores import accuracy_text
from edge_export import FORMATS, ExportFormat, ExportSettings
from edge_runtime import UsageError

if TYPE_CHECKING:
    from edge_export import Exported

app = typer.Typer(add_completion=False)

COLUMNS = "file", "format", "precision", "MB", "max |Δp|", "top-1 same", "images", "val top-1", "of", "checkpoint", "of"
# Of pictures with several labels, one that the checkpoint has right has all of them right.
SEVERAL_COLUMNS = {
    "multi-label": (*COLUMNS[:5], "labels same", "images", "val mAP", "of", "all right", "of"),
    "multi-task": (*COLUMNS[:5], "tasks same", "images", "val mean accuracy", "of", "all right", "of"),
}
TEXT = """Export the best checkpoint of a run as one self-describing file, checked against it on validation images.

The file is written only if it answers as the checkpoint does: on up to 64 validation images and on hostile ones, in
batches of 1, 2 and 5, and on the whole validation split.

Precision: int8 files are a quarter to two fifths as large and on some backbones several times faster; they are
written only if they cost at most --max-drop points of validation accuracy. auto times fp32 and int8 on this machine
and keeps the fastest that fits.

Where it goes, unless --out names a file: model.onnx in the run folder, which edge predict takes; model-int8.onnx or
model-fp16.onnx for a precision that was asked for; ensemble.onnx in the first of several runs.

For servers that exist, a folder: triton is a model repository of Triton Inference Server, whose clients may send pixels
or picture files, kserve an InferenceService with its storage. One that is there gets a new version.
"""


@settings_command(app, "export", ExportSettings, help=paragraphs(TEXT))
def export(
    *,
    format_: Annotated[
        Literal[ExportFormat, "all"],
        flag("--format", "File format; triton and kserve write a folder for such a server."),
    ] = "onnx",
    run: Annotated[
        list[str] | None,
        flag(
            "--run",
            "Run folder, or its name below runs/; several make one file that averages their probabilities.",
            "RUN",
            default="newest",
        ),
    ] = None,
    out: Annotated[Path | None, flag("--out", "File to write.", "FILE", default="in the run folder")] = None,
    data: Annotated[
        list[Path] | None,
        flag(
            "--data",
            "Where the images are now: the folder, the manifest, or all of several.",
            "DIR|FILE",
            default="where they were in training",
        ),
    ] = None,
    options: Options,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Run `edge_export.export` and print its proof."""
    if format_ == "all" and out is not None:
        raise UsageError("--out names one file, but --format all writes two", "drop --out, or export one format")
    # Whoever ends the process otherwise than with Ctrl-C must not leave half a file either.
    signal.signal(signal.SIGTERM, _interrupt)
    settings = options.make(ExportSettings)
    with Console(quiet=quiet) as console:
        chosen = [choose_run(name, console) for name in run] if run else [choose_run(None, console)]
        from edge_export import export as run_export

        done = run_export(
            chosen, FORMATS if format_ == "all" else (format_,), out=out, data=data, settings=settings, progress=console
        )
        if json_:
            print_json([item.to_json() for item in done])
            return 0
        _print(done)
        if not any(item.path.name == "model.onnx" for item in done) and done[0].format == "onnx":
            console.say(f"next: edge predict --model {done[0].path} --image PICTURE")
    return 0


def _print(done: list[Exported]) -> None:
    from edge_runtime import CROSS_VALIDATED

    for item in done:
        if item.table:
            print(item.table)
    card = done[0].card
    columns: tuple[str, ...] = SEVERAL_COLUMNS.get(card.kind, COLUMNS)
    if done[0].validation.score_name == "exact_match":
        columns = tuple(name.replace("mAP", "all right") for name in columns)
    print_table(columns, [_row(item) for item in done], left=3)
    if CROSS_VALIDATED in card.metrics:
        print(f"{accuracy_text(CROSS_VALIDATED, card.metrics)}, of the network in fp32; parity is on training images")


def _row(item: Exported) -> tuple[str, ...]:
    parity = item.parity
    return (
        str(item.path),
        item.format,
        item.card.precision,
        f"{item.size_bytes / 1e6:.1f}",
        f"{parity.max_difference:.1e}",
        f"{parity.top1_agreement:.0%}" if parity.top1_agreement == 1 else f"{parity.top1_agreement:.1%}",
        f"{parity.images}+{parity.hostile_images}",
        *_accuracies(item),
    )


def _accuracies(item: Exported) -> tuple[str, ...]:
    split = item.validation
    if split.shown != "validation":
        # On what it learned from, any network is nearly right.
        return "–", "–", "–", "–"
    return (
        f"{split.score:.2%}",
        str(split.whole.n),
        f"{split.checkpoint.share:.2%}",
        str(split.checkpoint.n),
    )


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
