"""Options that mean the same in every command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_cli.flags import flag, option
from edge_runtime import LabelFrom, Seed, Threads

RunOption = Annotated[str | None, flag("--run", "Run folder, or its name below runs/.", "RUN", default="newest")]
ModelOption = Annotated[Path | None, flag("--model", "Model file.", "FILE", default="the newest run's model.onnx")]
ThreadsOption = Annotated[int | None, option("threads", Threads)]
SeedOption = Annotated[int, option("seed", Seed)]
JsonFlag = Annotated[bool, flag("--json", "Print one JSON document instead of a table.")]
SignatureOption = Annotated[
    list[Path] | None,
    flag("--require-signature", "Take only a model that this public key signed; may be repeated.", "KEY.pub"),
]
LabelFromOption = Annotated[
    LabelFrom,
    flag("--label-from", "Folder that names the class: the first below DIR or its split, or the image's own."),
]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
