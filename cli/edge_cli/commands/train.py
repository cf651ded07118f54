"""edge train: images, a pretrained backbone and a strategy in, a run folder with a checkpoint out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_cli.comparison_table import print_comparison
from edge_cli.console import Console, print_json
from edge_cli.flags import Options, paragraphs, settings_command
from edge_cli.found_rate import find_rate
from edge_cli.options import JsonFlag, QuietFlag
from edge_cli.pruned_options import pruning_text, with_pruned_run
from edge_cli.recipe_lines import with_recipe
from edge_cli.several_scores import print_summary
from edge_cli.split_scores import headline_text
from edge_cli.train_config import (
    ConfigOption,
    PrintConfigFlag,
    naming,
    print_settings,
    print_settings_schema,
    unlike_run,
    with_config,
)
from edge_runtime import UsageError, find_run
from edge_train import StrategyChoice, TrainSettings

if TYPE_CHECKING:
    from edge_train import TrainResult

# The settings that comparing takes no part of.
COMPARED = ("strategy", "folds")

app = typer.Typer(add_completion=False)

TEXT = """Train a classifier on a folder of images, and leave a run folder with its best checkpoint.

Strategies, as a course on transfer learning teaches them:

feature-extraction: the pretrained backbone is frozen, a new head learns (Adam, 1e-3). Fast, hard to overfit: a few
hundred images, or images like ImageNet's photos.

fine-tune: the head learns at 1e-3, the last stage at 1e-4, the rest at 1e-5. The most accurate with a thousand images
or more, or with pictures unlike photos.

scratch: random weights, every layer at 1e-3. For very many images, or none of the kind ImageNet has.

auto: by the number of images, the weights at hand and the machine; it says which, and why. all: the three on the same
split, side by side (edge compare).

Small sets: --folds 5 trains five runs, each measured on a fifth that it never saw, and then one on everything, which
carries that cross-validated figure.

Augmentation, of the training images only (edge data preview shows it): light for photos, standard for a few hundred
varied photos, document for text and signs, medical for scans, camera-trap for day and night outside, strong against
overfitting, none to measure without.

Smaller: --prune 0.3 --weights RUN takes three tenths of the channels from a finished run, which stays as it is, and
fine-tunes what is left in a new one, with the older as its teacher. Data, split and network are that run's
(edge docs pruning).

Fields: --recipe medical, products, wildlife or documents sets what edge docs medical (…) explains, and prints why.
"""


@settings_command(app, "train", TrainSettings, help=paragraphs(TEXT))
def train(
    *,
    options: Options,
    strategy: Annotated[
        Literal[StrategyChoice, "all"], typer.Option("--strategy", help="What is trained; all compares the three.")
    ] = "auto",
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Go on with an interrupted run, with its own settings.",
            show_default="a new run",
        ),
    ] = None,
    config: ConfigOption = None,
    print_config: PrintConfigFlag = False,
    find_lr: Annotated[
        bool,
        typer.Option(
            "--find-lr",
            help="Look for a learning rate: steps at growing rates, a picture and a table in --out, and a --lr-scale "
            "to try; train nothing.",
        ),
    ] = False,
    print_schema: Annotated[
        bool, typer.Option("--print-schema", help="Print the JSON Schema of such a file; train nothing.")
    ] = False,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Run `edge_train.train` and print what came out."""
    if print_schema:
        print_settings_schema()
        return 0
    if resume is not None:
        given = [flag for name, flag in options.given.items() if name not in {"resume", "json_", "quiet"}]
        if given:
            raise UsageError(f"--resume takes the run's own settings, but {given[0]} is given", "drop one of them")
    options, file = with_config(options, config)
    options = with_pruned_run(options)
    with Console(quiet=quiet) as console, naming(file, options):
        settings = _settings(options, strategy, console)
        if print_config:
            compared = strategy == "all"
            print_settings(
                settings, verb="compare" if compared else "train", without=COMPARED * compared, as_json=json_
            )
            return 0
        if find_lr:
            return find_rate(settings, strategy, console, as_json=json_)
        from edge_train import compare as run_comparison, resume as resume_training, train as run_training

        if resume is not None:
            result = resume_training(find_run(resume), console)
        elif strategy == "all":
            return print_comparison(run_comparison(settings, console), console, as_json=json_)
        else:
            result = run_training(settings, console)
    if os.environ.get("RANK", "0") == "0":  # torchrun's first process speaks for all
        if file is not None and (note := unlike_run(file, options, result.card)):
            console.say(note)
        _print_result(result, console, as_json=json_)
    return 0


def _settings(options: Options, strategy: str, console: Console) -> TrainSettings:
    if strategy != "all":
        return with_recipe(options, console).make(TrainSettings)
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError("--strategy all runs in one process", "compare without torchrun, or name one strategy")
    settings = with_recipe(options, console, strategy="auto").make(TrainSettings, strategy="auto")
    if settings.folds is not None:
        raise UsageError("`strategy` all compares on one split, not on `folds`", "drop `folds`, or name one strategy")
    return settings


def _print_result(result: TrainResult, console: Console, *, as_json: bool) -> None:
    if as_json:
        print_json(result.summary)
        return
    print_summary(result.summary)
    if "pruning" in result.summary:
        print(pruning_text(result.summary["pruning"]))
    for finding in result.diagnosis:
        console.say(f"{finding.kind}: {finding.text}{f' Try {finding.flag}' if finding.flag else ''}")
    if result.diagnosis:
        console.say(f"more: {', '.join(f'edge docs {finding.kind}' for finding in result.diagnosis)}")
    kept = "last" if "cross_validation" in result.summary else "best"
    print(
        f"{headline_text(result.summary['metrics'])}, {kept} epoch {result.summary['best_epoch']}, "
        f"{result.summary['seconds']:.0f} s: {result.run.best}"
    )
    console.say(f"repeat: {result.summary['command']}")
    console.say(f"report: {result.run.path / 'report.html'}")
    console.say(f"next: edge export --run {result.run.path}")
