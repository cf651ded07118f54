"""The course's table on CIFAR-10: three strategies, several seeds, resumable.

    python -m edge_benchmarks.training.course_on_cifar10 --weights FILE-OR-FOLDER [--preset cpu|gpu] [--seeds 0,1,2]
        [--markdown FILE]

Every strategy and seed is a run folder of `edge train` below --out. The same command again trains only what is missing:
finished runs are read, an interrupted one is gone on with.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edge_benchmarks.program import exit_code
from edge_benchmarks.training.course_table import StrategyRow, Target, course_table, markdown_report
from edge_benchmarks.training.resumable_run import Trial
from edge_runtime import (
    EdgeError,
    OutputError,
    UsageError,
    cache_folder,
    cpu_model,
    usable_cores,
    write_json,
    write_text,
)
from edge_train import STRATEGIES

PRETRAINED = ("feature-extraction", "fine-tune")

_SCRATCH = (
    "--backbone resnet18 --stem small --image-size 32 --augment light --batch-size 128 --optimizer sgd --lr-scale 15 "
    "--schedule one-cycle --weight-decay 5e-4 --epochs 5"
)
# What `edge train` is told and what is to come of it, by preset and strategy. The gpu preset works at the backbone's
# full resolution.
PRESETS: dict[str, dict[str, tuple[str, Target]]] = {
    "cpu": {
        "feature-extraction": (
            "--backbone mobilenet_v2 --image-size 128 --augment none --hidden-units 4096 --label-smoothing 0.1 "
            "--batch-size 128 --epochs 5",
            Target(0.80, 5),
        ),
        "fine-tune": (
            "--backbone mobilenet_v2 --image-size 96 --augment light --batch-size 64 --freeze-until stage3 "
            "--optimizer adamw --lr-decay-per-stage 0.5 --epochs 5",
            Target(0.90, 15),
        ),
        "scratch": (f"{_SCRATCH} --start-size 16", Target(0.80, 15)),
    },
    "gpu": {
        "feature-extraction": (
            "--backbone mobilenet_v2 --image-size 224 --augment light --views 5 --hidden-units 4096 "
            "--label-smoothing 0.1 --batch-size 128 --epochs 5",
            Target(0.83),
        ),
        "fine-tune": (
            "--backbone mobilenet_v2 --image-size 224 --augment light --batch-size 64 --optimizer adamw "
            "--lr-decay-per-stage 0.5 --epochs 5",
            Target(0.95),
        ),
        "scratch": (_SCRATCH, Target(0.92)),
    },
}

# What the course reaches, and in which time.
COURSE = {"feature-extraction": "77 % in 5 min", "fine-tune": "82 % in 15 min", "scratch": "65 % in 15 min"}


def main(words: Sequence[str] | None = None) -> int:
    """Train what is missing, print the table; 1 where a run failed, or a target is not met with --check."""
    given = _arguments(words)
    return exit_code(lambda: _train_and_report(given), interrupted="interrupted; the same command goes on")


def _train_and_report(given: argparse.Namespace) -> int:
    trials = choose_trials(given)
    failed = train_missing(trials, quiet=given.quiet)
    rows = read_rows(trials, given.preset)
    report(rows, trials, given)
    unmet = [row.strategy for row in rows if not row.met]
    if failed:
        sys.stderr.write(f"error: {len(failed)} of {len(trials)} runs failed: {'; '.join(failed)}\n")
        return 1
    if given.check and unmet:
        sys.stderr.write(f"error: the target is not met by {', '.join(unmet)}\n")
        return 1
    return 0


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="the course's table on CIFAR-10, resumable")
    parser.add_argument("--data", default="cifar10", help="folder of class folders (default: %(default)s)")
    parser.add_argument(
        "--weights", default="default", help="state dict, or folder of BACKBONE*.pth (default: download)"
    )
    parser.add_argument("--preset", default="cpu", choices=list(PRESETS), help="(default: %(default)s)")
    parser.add_argument("--recipes", type=Path, help="JSON file, flags by strategy, in place of the preset's")
    parser.add_argument("--strategies", default=",".join(STRATEGIES), help="(default: %(default)s)")
    parser.add_argument("--seeds", default="0,1,2", help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, help="where runs are kept (default: benchmarks/cifar10 in edge's cache)")
    parser.add_argument("--threads", type=int, help="of edge train (default: all)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table and the machine to FILE")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--quiet", action="store_true", help="no progress of the trainings")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is not met")
    return parser.parse_args(words)


def choose_trials(given: argparse.Namespace) -> list[Trial]:
    """Every strategy with every seed, seeds outermost: the first whole table comes as early as it can.

    Raises:
        UsageError: an unknown strategy, no seed, or recipes that cannot be read.
    """
    strategies = [name.strip() for name in given.strategies.split(",") if name.strip()]
    unknown = [name for name in strategies if name not in STRATEGIES]
    if unknown or not strategies:
        raise UsageError(f"--strategies {given.strategies}: choose from {', '.join(STRATEGIES)}")
    try:
        seeds = [int(seed) for seed in given.seeds.split(",")]
    except ValueError:
        raise UsageError(f"--seeds {given.seeds}: whole numbers with commas between are needed") from None
    if given.recipes is not None:
        recipes = _read_recipes(given.recipes, strategies)
    else:
        recipes = {strategy: shlex.split(words) for strategy, (words, _) in PRESETS[given.preset].items()}
    root = (given.out or cache_folder() / "benchmarks" / "cifar10").expanduser().absolute()
    flags = {strategy: _flags(strategy, recipes[strategy], given) for strategy in strategies}
    return [Trial(strategy, seed, flags[strategy], root) for seed in seeds for strategy in strategies]


def _read_recipes(path: Path, strategies: list[str]) -> dict[str, list[str]]:
    try:
        recipes = json.loads(path.read_text(encoding="utf-8"))
        return {strategy: [str(word) for word in recipes[strategy]] for strategy in strategies}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"--recipes {path} cannot be used: {error!r}",
            'it holds {"STRATEGY": ["--flag", "value", …], …} with every strategy asked for',
        ) from None


def _flags(strategy: str, recipe: list[str], given: argparse.Namespace) -> tuple[str, ...]:
    flags = [*recipe, "--data", _absolute(given.data)]
    if strategy in PRETRAINED:
        flags += ["--weights", _weights(given.weights, recipe)]
    if given.threads is not None:
        flags += ["--threads", str(given.threads)]
    return tuple(flags)


def _weights(choice: str, recipe: list[str]) -> str:
    folder = Path(choice).expanduser()
    if choice == "default" or not folder.is_dir():
        return _absolute(choice)
    backbone = recipe[recipe.index("--backbone") + 1] if "--backbone" in recipe else "resnet18"
    found = sorted(path for path in folder.glob(f"{backbone}*") if path.is_file())
    if not found:
        raise UsageError(f"--weights {choice} has no file for {backbone}", f"its name must begin with {backbone}")
    return str(found[0].absolute())


def _absolute(name: str) -> str:
    path = Path(name).expanduser()
    return str(path.absolute()) if path.exists() else name


def train_missing(trials: list[Trial], *, quiet: bool) -> list[str]:
    """Train what is not finished, in order; gives what failed. One failure does not keep the others from running."""
    failed = []
    for number, trial in enumerate(trials, start=1):
        name = f"{trial.strategy}, seed {trial.seed} ({number} of {len(trials)})"
        if trial.outcome() is not None:
            sys.stderr.write(f"{name}: finished before\n")
            continue
        sys.stderr.write(f"{name}: training in {trial.folder}\n")
        try:
            trial.train(quiet=quiet)
        except (UsageError, OutputError):
            raise
        except EdgeError as error:
            failed.append(str(error))
    return failed


def read_rows(trials: list[Trial], preset: str) -> list[StrategyRow]:
    """One row per strategy with what its finished runs came to."""
    rows = []
    for strategy in dict.fromkeys(trial.strategy for trial in trials):
        outcomes = tuple(found for t in trials if t.strategy == strategy and (found := t.outcome()) is not None)
        rows.append(StrategyRow(strategy, outcomes, COURSE[strategy], PRESETS[preset][strategy][1]))
    return rows


def report(rows: list[StrategyRow], trials: list[Trial], given: argparse.Namespace) -> None:
    """Print the table and keep it as results.json beside the runs, and in Markdown where that is asked for."""
    import torch

    environment = {
        "cpu": cpu_model(),
        "usable_cores": usable_cores(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "torch": version("torch"),
        "edge": version("edge-vision"),
        "date": date.today().isoformat(),
        "preset": given.preset,
    }
    commands = {trial.strategy: list(trial.flags) for trial in trials}
    document: dict[str, Any] = {"environment": environment, "recipes": commands, "rows": [r.to_json() for r in rows]}
    write_json(trials[0].root / "results.json", document)
    if given.markdown is not None:
        write_text(given.markdown, markdown_report(rows, environment, commands))
    if given.json:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    facts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in environment.items())
    sys.stdout.write(f"CIFAR-10: mean (lowest..highest) over the runs\n{course_table(rows).text()}\n{facts}\n")


if __name__ == "__main__":
    sys.exit(main())
