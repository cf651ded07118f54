"""Options that mean the same in every command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_cli.flags import option
from edge_runtime import Seed, Threads

RunOption = Annotated[
    str | None, typer.Option("--run", metavar="RUN", help="Run folder, or its name below runs/.", show_default="newest")
]
ModelOption = Annotated[
    Path | None, typer.Option("--model", metavar="FILE", help="Model file.", show_default="the newest run's model.onnx")
]
ThreadsOption = Annotated[int | None, option("threads", Threads)]
SeedOption = Annotated[int, option("seed", Seed)]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
