"""edge export: the best checkpoint as one file, proven equal to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edge_cli.console import Console, print_json, print_table
from edge_cli.model import choose_run
from edge_cli.options import JsonFlag, QuietFlag, RunOption
from edge_runtime import UsageError

app = typer.Typer(add_completion=False)


@app.command(
    name="export",
    help="Export the best checkpoint of a run as one self-describing file, checked against it on validation images.",
)
def export(
    format_: Annotated[Literal["onnx", "torchscript", "all"], typer.Option("--format", help="File format.")] = "onnx",
    run: RunOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="File to write.", show_default="in the run folder")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="Where the images are now.", show_default="where they were in training"
        ),
    ] = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Run `edge_export.export` and print its proof."""
    if format_ == "all" and out is not None:
        raise UsageError("--out names one file, but --format all writes two", "drop --out, or export one format")
    with Console(quiet=quiet) as console:
        chosen = choose_run(run, console)
        from edge_export import FORMATS
        from edge_export import export as run_export

        formats = FORMATS if format_ == "all" else (format_,)
        done = run_export(chosen, formats, out=out, data=data, say=console.say)
    if json_:
        print_json(
            [
                {
                    "file": str(item.path),
                    "format": item.format,
                    "size_bytes": item.size_bytes,
                    "parity": item.parity.to_json(),
                }
                for item in done
            ]
        )
        return 0
    print_table(
        ("file", "format", "MB", "max |Δp|", "top-1 same", "images"),
        [
            (
                str(item.path),
                item.format,
                f"{item.size_bytes / 1e6:.1f}",
                f"{item.parity.max_difference:.1e}",
                f"{item.parity.top1_agreement:.0%}",
                str(item.parity.images),
            )
            for item in done
        ],
        left=2,
    )
    return 0
