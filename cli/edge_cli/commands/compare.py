"""edge compare: the three strategies on the same split, which is edge train --strategy all."""

from __future__ import annotations

import typer

from edge_cli.commands.train import COMPARED, train
from edge_cli.flags import Options, settings_command
from edge_cli.options import JsonFlag, QuietFlag
from edge_cli.train_config import ConfigOption, PrintConfigFlag
from edge_train import TrainSettings

app = typer.Typer(add_completion=False)

HELP = (
    "Train the three strategies on the same split and print them side by side; the same as edge train --strategy all. "
    "Writes comparison.png and predictions.png, and marks the best for export."
)


@settings_command(app, "compare", TrainSettings, help=HELP, without=COMPARED)
def compare(
    *,
    options: Options,
    config: ConfigOption = None,
    print_config: PrintConfigFlag = False,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Run `edge train --strategy all` with the options given."""
    return train(options=options, strategy="all", config=config, print_config=print_config, json_=json_, quiet=quiet)
