"""edge label: a page in the browser that gives pictures their classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_cli.console import Console
from edge_cli.flags import Options, settings_command
from edge_serve import LabelSettings

app = typer.Typer(add_completion=False)


@settings_command(
    app,
    "label",
    LabelSettings,
    help="Label pictures in the browser: a page, one key for each class, written to a file after every key.",
    epilog="Needs the extra serve. Ctrl-C ends it; started again, it goes on from the file. No picture is changed.",
)
def label(
    *,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|DIR",
            help="Table with a column path, as edge predict --out and edge evaluate --mistakes write it, or folder.",
        ),
    ],
    options: Options,
) -> int:
    """Label until told to end, and say what comes next."""
    from edge_serve import label_pictures

    with Console() as console:
        made = label_pictures(options.make(LabelSettings, source=source), console)
        console.say(f"{made.done:,} of {made.rows:,} labelled, {made.steps:,} steps this time")
        if made.steps:
            console.say(f"next: {made.next_step}")
    return 0
