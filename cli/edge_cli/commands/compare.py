"""edge compare: the three strategies on the same split, which is edge train --strategy all."""

from __future__ import annotations

from functools import wraps
from inspect import signature
from typing import Any

import typer

from edge_cli.commands.train import train

app = typer.Typer(add_completion=False)

HELP = (
    "Train the three strategies on the same split and print them side by side; the same as edge train --strategy all. "
    "Writes comparison.png and predictions.png, and marks the best for export."
)


@wraps(train)
def compare(**options: Any) -> int:
    """Run `edge train --strategy all` with the options given."""
    return train(**options, strategy="all", resume=None)


# Typer reads the options from the signature: those of train, less the two that make no sense here.
_own = signature(train, eval_str=True)
compare.__signature__ = _own.replace(  # type: ignore[attr-defined]
    parameters=[each for name, each in _own.parameters.items() if name not in {"strategy", "resume"}]
)
app.command(name="compare", help=HELP)(compare)
