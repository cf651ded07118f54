"""edge tune: many trainings with settings drawn by chance, compared by validation and latency, one recommended."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from edge_benchmarks import DRAWN, TuneSettings
from edge_cli.console import Console, print_json, print_table
from edge_cli.flags import Options, paragraphs, said_as_flags, settings_command
from edge_cli.options import JsonFlag, QuietFlag
from edge_cli.recipe_lines import with_recipe
from edge_cli.train_config import ConfigOption, PrintConfigFlag, naming, print_settings, with_config
from edge_runtime import UsageError
from edge_train import TrainSettings

if TYPE_CHECKING:
    from edge_benchmarks import Sweep, TrialRow

app = typer.Typer(add_completion=False)

TEXT = """Train with many settings and recommend the run to export: accurate on validation, fast on the device.

Backbones, strategies, augmentations, input sizes and rates are drawn from --seed; all other flags are those of
edge train, for every trial alike. The frozen backbone's embeddings are shared between trials.

The runs are ordinary ones. Beside them a folder has the table (tune.csv), the picture of accuracy against latency
(tune.png) and what was recommended (tune.json): edge export without --run takes that run. Trials are chosen by
validation; only the recommended run's test images are looked at, at the end.

Latency is that of --bench, a report of edge bench on the device; else it is measured on this machine.

Ctrl-C loses nothing: the same command goes on, tries failed trials again, and adds some where --trials is more.

--engine ray (extra: tune) runs several trials at once and stops the worse ones early.

Weights are each backbone's own; where no hub can be reached, files called like the backbones in $EDGE_WEIGHTS_DIR.
"""
# What a sweep sets itself, and what it cannot have.
WITHOUT = (*DRAWN, "folds", "prune")
COLUMNS = ("trial", "backbone", "strategy", "augment", "px", "lr-scale", "epochs", "validation", "test", "ms", "time")
FIGURES = {"accuracy": "", "map": " mAP", "mean_accuracy": " mean accuracy", "exact_match": " all labels right"}


@settings_command(app, "tune", TuneSettings, TrainSettings, help=paragraphs(TEXT), without=WITHOUT)
def tune(
    *,
    options: Options,
    config: ConfigOption = None,
    print_config: PrintConfigFlag = False,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Run `edge_benchmarks.tune` and print its table."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError("a sweep begins in one process", "tune without torchrun; --engine ray takes several machines")
    options, file = with_config(options, config, TuneSettings, verb="tune")
    with Console(quiet=quiet) as console, naming(file, options):
        space = options.make(TuneSettings)
        drawn = {name: getattr(TrainSettings(), name) for name in DRAWN}
        base = with_recipe(options, console, **drawn).make(TrainSettings, **drawn)
        space = _augmented(space, base, options, console)
        if print_config:
            print_settings(base, space, verb="tune", without=WITHOUT, as_json=json_)
            return 0
        if ignored := [name for name in DRAWN if name in options.filed]:
            console.say(f"note: trials draw their own `{'`, `'.join(ignored)}`, whatever {config} says")
        from edge_benchmarks import tune as run_sweep

        sweep = run_sweep(base, space, console)
        if json_:
            print_json(sweep.to_json())
            return 0
        _print(sweep, console)
    return 0


def _augmented(space: TuneSettings, base: TrainSettings, options: Options, console: Console) -> TuneSettings:
    """The space with the augmentation of the base's recipe alone, unless others are given: others may do harm."""
    if base.recipe is None or "augments" in options.given.keys() | options.filed.keys():
        return space
    from edge_train import find_recipe

    own = [each.value for each in find_recipe(base.recipe).values if each.setting == "augment"]
    if not own:
        return space
    console.say(f"  `augments` {own[0]}: the recipe's; strategies, sizes and rates are drawn as without it")
    return replace(space, augments=tuple(own))


def _print(sweep: Sweep, console: Console) -> None:
    figure = next(FIGURES[row.figures.figure] for row in sweep.rows if row.figures)
    columns = [f"{name}{figure}" if name in ("validation", "test") else name for name in COLUMNS]
    print_table(columns, [_cells(row, best=row is sweep.best) for row in sweep.rows], left=4)
    for row in sweep.rows:
        if row.reason is not None:
            print(said_as_flags(f"trial {row.trial.number} failed: {row.reason}"))
    print(f"ms: median inference of one picture, fp32, {sweep.latency_from}")
    print(f"best for export: {sweep.best_run.name}. {sweep.why[0].upper()}{sweep.why[1:]}")
    print(f"table and picture: {sweep.folder / 'tune.csv'}, {sweep.folder / 'tune.png'}")
    console.say(f"next: edge export --run {sweep.best_run.path}")


def _cells(row: TrialRow, *, best: bool) -> tuple[str, ...]:
    drawn, found = row.trial.settings, row.figures
    size = row.input_px or drawn.image_size
    asked = (drawn.backbone, drawn.strategy, drawn.augment, str(size or "–"), f"{drawn.lr_scale:g}")
    name = f"{row.trial.number}{' *' if best else ''}"
    if found is None:
        return (name, *asked, *("–" for _ in COLUMNS[6:]))
    return (
        name,
        *asked,
        f"{row.epochs}{' of ' + str(drawn.epochs) if row.stopped else ''}",
        _percent(found.val_accuracy, found.val_n),
        _percent(found.test_accuracy, found.test_n),
        "–" if row.latency_ms is None else f"{row.latency_ms:.2f}",
        f"{found.seconds or 0:.0f} s",
    )


def _percent(accuracy: float | None, n: int | None) -> str:
    return "–" if accuracy is None else f"{accuracy:.1%} (n {n:,})"
