"""Training speed: `edge train` against a plain PyTorch loop as a course writes it; and listing a very large folder.

    python -m edge_benchmarks.training.speed [--data DIR] [--weights FILE] [--runs 3] [--check]
    python -m edge_benchmarks.training.speed listing [--files 200000] [--check]

Both train the same backbone on the same images with the same number of epochs and the same batch size, each in a fresh
process, by turns in changing order, after one unmeasured start. The plain loop (plain_loop.py) mirrors
its training images; `--augment light`, crop and mirror, is edge's nearest preset.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shlex
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edge_benchmarks.machine.environment import read_environment
from edge_benchmarks.program import exit_code, python_module
from edge_benchmarks.training import listing, plain_loop
from edge_benchmarks.training.measured_process import watch
from edge_benchmarks.training.plain_loop import PlainSettings
from edge_benchmarks.training.speed_comparison import REQUIRED_SPEEDUP, SpeedComparison, TrainingRun
from edge_benchmarks.training.subset import draw_subset
from edge_data import find_data
from edge_runtime import to_words
from edge_train import TrainSettings

LISTING_LIMIT_S = 10.0
# Torch's threads wait for each other by spinning: beside other work, a loop on all cores gets several times slower.
BUSY_LOAD = 0.5


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where something failed, or fell short with --check."""
    given = _arguments(words)
    return exit_code(lambda: _measure(given))


def _measure(given: argparse.Namespace) -> int:
    load = _load()
    with TemporaryDirectory(prefix="edge-speed-") as folder:
        measure = measure_listing if given.part == "listing" else measure_training
        report, lines, unmet = measure(Path(folder), given)
    environment = {**read_environment(threads=given.threads).to_json(), "torch": version("torch"), "load_before": load}
    if given.json:
        sys.stdout.write(json.dumps({"environment": environment, **report, "unmet": unmet}, indent=2) + "\n")
    else:
        head = f"{read_environment(threads=given.threads)}, torch {environment['torch']}"
        sys.stdout.write("\n".join([head, *lines]) + "\n")
    if given.check and unmet:
        sys.stderr.write(f"error: not met: {'; '.join(unmet)}\n")
        return 1
    return 0


def _load() -> float | None:
    """The load average of the last minute; said where it is not that of a machine at rest."""
    if not hasattr(os, "getloadavg"):
        return None
    load = os.getloadavg()[0]
    if load > BUSY_LOAD:
        sys.stderr.write(f"note: the machine is busy (load {load:.1f}): these figures are not those of a quiet one\n")
    return load


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="edge train against a plain PyTorch loop, side by side")
    parser.add_argument("part", nargs="?", default="training", choices=["training", "listing"])
    parser.add_argument("--data", default="cifar10", help="folder of class folders (default: %(default)s)")
    parser.add_argument("--images", type=int, default=5000, help="images drawn from it (default: %(default)s)")
    parser.add_argument("--image-size", type=int, default=128, help="side of the input, px (default: %(default)s)")
    parser.add_argument("--backbone", default="mobilenet_v2", help="(default: %(default)s)")
    parser.add_argument("--weights", default="default", help="state dict, or default: torchvision's")
    parser.add_argument("--epochs", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="(default: %(default)s)")
    parser.add_argument(
        "--strategy", default="all", choices=[*REQUIRED_SPEEDUP, "both", "all"], help="both: of transfer"
    )
    parser.add_argument("--augment", default="light", help="edge's preset for training images (default: %(default)s)")
    parser.add_argument("--edge", default="", metavar="FLAGS", help="more flags of edge train, as one word")
    parser.add_argument("--files", type=int, default=200_000, help="listing: files to list (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="measured runs of each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first run; the next take the next (default: 0)")
    parser.add_argument("--threads", type=int, help="torch's threads (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--check", action="store_true", help="exit 1 where a requirement is not met")
    given = parser.parse_args(words)
    for flag in ("images", "image_size", "epochs", "batch_size", "runs", "files", "threads"):
        value = getattr(given, flag)
        if value is not None and value < 1:
            parser.error(f"--{flag.replace('_', '-')} {value}: at least 1 is needed")
    if given.part == "listing" and given.threads is not None:
        parser.error("--threads is of training: a listing takes none")
    if given.files < 2 * listing.CLASSES:
        parser.error(f"--files {given.files}: at least {2 * listing.CLASSES} are needed")
    return given


def measure_training(folder: Path, given: argparse.Namespace) -> tuple[dict[str, Any], list[str], list[str]]:
    """Train by turns; gives the report, the lines that say it, and what is not met."""
    subset = draw_subset(find_data(given.data).root, folder / "data", images=given.images, seed=given.seed)
    settings = PlainSettings(
        data=str(subset.root),
        backbone=given.backbone,
        weights=given.weights if given.weights == "default" else str(Path(given.weights).expanduser().resolve()),
        strategy="feature-extraction",
        epochs=given.epochs,
        batch_size=given.batch_size,
        image_size=given.image_size,
        seed=given.seed,
        threads=given.threads,
    )
    _run_plain(replace(settings, epochs=0))
    several = {"all": list(REQUIRED_SPEEDUP), "both": ["feature-extraction", "fine-tune"]}
    strategies = several.get(given.strategy, [given.strategy])
    more = ["--augment", given.augment, *shlex.split(given.edge)]
    comparisons = [
        _compare(replace(settings, strategy=strategy), more, given.runs, folder / "runs") for strategy in strategies
    ]
    shown = {name: value for name, value in asdict(settings).items() if name not in ("data", "strategy")}
    report = {
        "data": {"source": given.data, "train": subset.train, "val": subset.val, "classes": subset.classes},
        "settings": {**shown, "augment": given.augment, "edge": given.edge, "plain_augment": "mirror"},
        "strategies": [comparison.to_json() for comparison in comparisons],
    }
    described = (
        f"{subset.train:,} train and {subset.val:,} val images, {subset.classes} classes; {settings.backbone} at "
        f"{settings.image_size} px, {settings.epochs} epochs, batches of {settings.batch_size}; "
        f"plain loop: mirror, edge: {shlex.join(more)}; whole processes, start-up included"
    )
    unmet = [phrase for comparison in comparisons for phrase in comparison.unmet()]
    return report, [described, *map(str, comparisons)], unmet


def _compare(settings: PlainSettings, more: Sequence[str], runs: int, out: Path) -> SpeedComparison:
    plain: list[TrainingRun] = []
    edge: list[TrainingRun] = []
    bounds: list[int | None] = []
    for run in range(runs):
        seeded = replace(settings, seed=settings.seed + run)
        # By turns, and neither always first: a machine that warms up slows both alike.
        for program in ("plain", "edge") if run % 2 == 0 else ("edge", "plain"):
            if program == "plain":
                plain.append(_run_plain(seeded))
                _progress(settings, program, plain[-1])
            else:
                measured, bound = _run_edge(seeded, more, out)
                edge.append(measured)
                bounds.append(bound)
                _progress(settings, program, measured)
    known = [bound for bound in bounds if bound is not None]
    return SpeedComparison(settings.strategy, tuple(plain), tuple(edge), min(known) if known else None)


def _progress(settings: PlainSettings, program: str, run: TrainingRun) -> None:
    sys.stderr.write(f"{settings.strategy}, {program}: {run.seconds:.1f} s, {run.accuracy:.1%}\n")


def _run_plain(settings: PlainSettings) -> TrainingRun:
    # What edge sets for its own processes is no part of a plain loop.
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    done = watch(python_module(plain_loop.__name__, json.dumps(asdict(settings))), environment=environment)
    result = json.loads(done.stdout)
    epochs = tuple(result.get("epoch_seconds", ()))
    accuracy, n = result.get("accuracy", 0.0), result.get("n", 1)
    return TrainingRun(done.seconds, done.cpu_seconds, done.peak_bytes, accuracy, n, epochs)


def _run_edge(settings: PlainSettings, more: Sequence[str], out: Path) -> tuple[TrainingRun, int | None]:
    """A run of `edge train`, and the bound of its caches where it states one."""
    own = {"weights": "none"} if settings.strategy == "scratch" else {}
    words = to_words(TrainSettings(**{**asdict(settings), **own, "out": out}))
    done = watch(python_module("edge_cli", "train", *words, *more, "--quiet", "--json"))
    summary = json.loads(done.stdout)
    val = summary["metrics"]["val"]
    with (out / summary["run"] / "metrics.csv").open(encoding="utf-8", newline="") as file:
        epochs = tuple(float(row["seconds"]) for row in csv.DictReader(file) if row["seconds"])
    run = TrainingRun(done.seconds, done.cpu_seconds, done.peak_bytes, val["accuracy"], val["n"], epochs)
    return run, summary.get("cache_bound_bytes")


def measure_listing(folder: Path, given: argparse.Namespace) -> tuple[dict[str, Any], list[str], list[str]]:
    """List and split a folder of `--files` files; gives the report, the lines that say it, and what is not met."""
    data = folder / "many"
    sys.stderr.write(f"making {given.files:,} files in {data}\n")
    listing.fill(data, given.files)
    times: dict[str, list[dict[str, float]]] = {"edge": [], "walk": []}
    for run in range(given.runs):
        for how in times if run % 2 == 0 else reversed(times):
            done = watch(python_module(listing.__name__, how, str(data)))
            times[how].append(json.loads(done.stdout))
    median = {how: statistics.median(run["seconds"] for run in runs) for how, runs in times.items()}
    files = int(times["edge"][0]["files"])
    parts = {part: statistics.median(run[part] for run in times["edge"]) for part in ("scan_s", "split_s")}
    report = {"files": files, "runs": times, "median_seconds": median, **parts}
    edge = " ".join(f"{run['seconds']:.2f}" for run in times["edge"])
    walk = " ".join(f"{run['seconds']:.2f}" for run in times["walk"])
    lines = [
        f"listing and splitting {files:,} files of {listing.CLASSES} classes, seconds, {given.runs} processes each",
        f"  edge     {median['edge']:7.2f}  (list {parts['scan_s']:.2f}, split {parts['split_s']:.2f}; each {edge})",
        f"  os.walk  {median['walk']:7.2f}  (each {walk})",
    ]
    slow = median["edge"] >= LISTING_LIMIT_S
    return report, lines, [f"listing takes {median['edge']:.1f} s, not {LISTING_LIMIT_S:g}"] if slow else []


if __name__ == "__main__":
    sys.exit(main())
