"""edge predict --engine ray --plan: what many pictures take on some numbers of cores, and what they read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edge_batch import Speed, describe_plan, list_all, measure_speed
from edge_cli.console import print_json, print_table
from edge_cli.quantities import parse_counts
from edge_runtime import Classifier, UsageError, usable_cores

if TYPE_CHECKING:
    from edge_batch import Cost
    from edge_cli.console import Console
    from edge_cli.predict.ray_options import RayOptions

A_MILLION = 1_000_000
OTHER_CORES = (16, 64, 256)


def say_plan(options: RayOptions, choose: Callable[[], Path], console: Console, *, json_: bool) -> int:
    """Print what the pictures named, or a million, take each model of a bench, or the one chosen; the exit code.

    Raises UsageError where neither pictures nor a bench are named, the bench has none of one thread, or something is
    asked for that says how to classify.
    """
    if given := options.of_answers:
        raise UsageError(
            f"--plan classifies nothing, on one core of this machine: no {' and no '.join(given)}", "drop it"
        )
    cores, bench = options.cores, options.bench
    counts = parse_counts("--cores", cores) if cores else tuple(sorted({usable_cores(), *OTHER_CORES}))
    listing = list_all(options.data) if options.data else None
    if bench is not None:
        speeds = _benched(bench)
    elif listing is None:
        raise UsageError("--plan needs pictures to measure with, or figures", "--data DIR, or --bench bench.json")
    else:
        classifier = Classifier(choose(), threads=1, require_signature=options.keys)
        speeds = [measure_speed(classifier.card.backbone, classifier, listing)]
        console.say(f"measured on {speeds[0].n} of the pictures, on one core of this machine")
    pictures = A_MILLION if listing is None else len(listing.paths)
    costs = [cost for speed in speeds for cost in describe_plan(speed, pictures, counts)]
    known_bytes, known = listing.known_bytes if listing is not None else (0, 0)
    each_bytes = known_bytes / known if known else None
    if json_:
        print_json(_document(pictures, speeds, costs, each_bytes))
        return 0
    _print(pictures, speeds, costs, each_bytes)
    return 0


def _benched(path: Path) -> list[Speed]:
    """The speeds of a bench's rows that ran on one thread, from a picture's bytes to its answer."""
    from edge_benchmarks import read_report

    rows = [row for row in read_report(path).rows if row.threads == 1 and row.engine == "onnxruntime"]
    speeds = [Speed.of(row.name, [ms / 1e3 for ms in row.end_to_end.times_ms]) for row in rows if row.end_to_end]
    if not speeds:
        raise UsageError(
            f"{path} has no model that was measured on one thread with pictures",
            "edge bench --threads 1 --data DIR --json > bench.json",
        )
    return speeds


def _document(pictures: int, speeds: list[Speed], costs: list[Cost], each_bytes: float | None) -> dict[str, object]:
    return {
        "pictures": pictures,
        "bytes_per_picture": each_bytes,
        "bytes": None if each_bytes is None else round(each_bytes * pictures),
        "models": [
            {
                "model": speed.name,
                "images_per_core_hour": speed.images_per_core_hour,
                "n": speed.n,
                "core_hours_per_million": A_MILLION / speed.images_per_core_hour,
            }
            for speed in speeds
        ],
        "costs": [cost.to_json() for cost in costs],
    }


def _print(pictures: int, speeds: list[Speed], costs: list[Cost], each_bytes: float | None) -> None:
    print_table(
        ("model", "images/core-hour", "core-hours for a million", "n"),
        [
            (
                speed.name,
                f"{speed.images_per_core_hour:,.0f}",
                f"{A_MILLION / speed.images_per_core_hour:,.1f}",
                f"{speed.n:,}",
            )
            for speed in speeds
        ],
        title="What a core answers",
    )
    rates = {speed.name: 1 / speed.mean_s for speed in speeds}

    def reads(cost: Cost) -> str:
        return "" if each_bytes is None else f"{rates[cost.name] * cost.cores * each_bytes / 1e6:,.1f} MB/s"

    print_table(
        ("model", "cores", "by arithmetic", "played through", "reads"),
        [
            (cost.name, f"{cost.cores:,}", _duration(cost.paper_s), _duration(cost.simulated_s), reads(cost))
            for cost in costs
        ],
        title=f"{pictures:,} pictures"
        + ("" if each_bytes is None else f", {each_bytes * pictures / 1e9:,.2f} GB to read"),
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
