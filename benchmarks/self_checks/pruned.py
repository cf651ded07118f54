"""What a run costs and gets right before and after `edge train --prune`.

    python benchmarks/self_checks/pruned.py --data DIR [--weights DIR] [--backbones mobilenet_v2,resnet18]

Each backbone is fine-tuned, or taken from --run; each share of its channels is pruned from that run and what is left
fine-tuned in a new one, as `edge train --prune SHARE --weights RUN` does it; all are exported in fp32 and int8.
Accuracy is that of the model files on the split's test images, none of which training saw; the difference to the
unpruned run's fp32 file has a 95 % interval, paired by image. Latency is of one image, all files of a backbone by turns
in one process; `times` is how many times as fast as the unpruned fp32 file, by medians.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from edge_benchmarks import Table
from edge_benchmarks.machine.environment import read_environment
from edge_export import ExportSettings, export
from edge_runtime import Classifier, Run, UsageError, write_json
from edge_train import pruning_settings, train
from shared import at_least_1, check, flags, say, time_by_turns
from trained_runs import by_backbone, paired, points, right_answers, train_run, unseen, weights_of

COLUMNS = (
    "channels", "file", "params M", "GFLOPs", "MB", "p50 ms", "p90 ms", "times", "test top-1", "difference", "n",
)  # fmt: skip
PRECISIONS: tuple[Literal["fp32", "int8"], ...] = ("fp32", "int8")


@dataclass(frozen=True, slots=True)
class Row:
    """One model file; accuracies in 0..1, `low` and `high` bound the difference to the unpruned fp32 file."""

    backbone: str
    share: float
    precision: str
    parameters: int
    gflops: float
    megabytes: float
    p50_ms: float
    p90_ms: float
    runs: int
    times: float
    accuracy: float
    difference: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, eq=False)
class _File:
    share: float
    precision: str
    path: Path
    parameters: int
    gflops: float


def main() -> int:
    """Train, prune, measure and print; 1 where something failed or, with --check, no pruned file is faster."""
    parser = flags("a run before and after --prune", "seconds", "threads")
    parser.add_argument("--data", type=Path, required=True, help="class folders")
    parser.add_argument("--weights", type=Path, help="folder of BACKBONE*.pth (default: downloaded)")
    parser.add_argument("--backbones", default="mobilenet_v2,resnet18", help="with commas between (%(default)s)")
    parser.add_argument("--shares", default="0.3,0.5", help="with commas between (%(default)s)")
    parser.add_argument("--run", type=Path, action="append", default=[], help="a finished run, instead of training one")
    parser.add_argument("--image-size", type=at_least_1, default=128, help="(default: %(default)s)")
    parser.add_argument("--epochs", type=at_least_1, default=4, help="of the unpruned run (default: %(default)s)")
    parser.add_argument("--tune-epochs", type=at_least_1, default=4, help="after pruning (default: %(default)s)")
    parser.add_argument("--limit", type=at_least_1, help="images in all (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, help="keep the runs here (default: they are thrown away)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured to FILE, too")
    given = parser.parse_args()
    return check(given, lambda folder: measure(given, given.out or folder))


def measure(given: argparse.Namespace, out: Path) -> bool:
    """Print a table for each backbone; whether each pruned fp32 file is faster than the unpruned one."""
    say(str(read_environment(threads=given.threads)))
    shares = [float(share) for share in given.shares.split(",")]
    finished = by_backbone(given.run)
    rows: list[Row] = []
    for name in map(str.strip, given.backbones.split(",")):
        run = finished.get(name)
        if run is None:
            weights = weights_of(name, given.weights)
            if weights is None:
                raise UsageError(f"--weights {given.weights} has no {name}*.pth")
            run = train_run(name, weights, given, out)
        files = list(_files(run, shares, given, out))
        found = measure_files(name, run, files, given.seconds, given.threads)
        rows += found
        say(Table((name, *COLUMNS[1:]), tuple(map(_cells, found)), left=2).text())
        if given.json is not None:
            write_json(given.json, {"rows": [asdict(row) for row in rows]})
    return all(row.times > 1 for row in rows if row.share and row.precision == "fp32")


def _files(run: Run, shares: Sequence[float], given: argparse.Namespace, out: Path) -> Iterator[_File]:
    """The files of the unpruned run and of those with a share less, which are made here."""
    made = {0.0: run}
    sizes: dict[float, Any] = {}
    for share in shares:
        told = {"epochs": given.tune_epochs, "threads": given.threads, "seed": given.seed, "out": out}
        result = train(pruning_settings(run.path, share, **told))
        made[share] = result.run
        pruning = sizes[share] = result.summary["pruning"]
        sizes[0.0] = {name: (pruning[name][0],) * 2 for name in ("parameters", "gflops")}
        for split, found in pruning["accuracy"].items():
            figures = ", ".join(f"{found[key]:.1%} {said}" for key, said in _WHEN.items())
            say(f"{share:.0%} pruned, {split}: {figures} (n {found['n']}), {result.summary['seconds']:.0f} s")
    for share, each in made.items():
        for precision in PRECISIONS:
            path = out / f"{each.name}-{share:g}-{precision}.onnx"
            drop = None if precision == "fp32" else 100
            export(each, out=path, settings=ExportSettings(precision=precision, max_drop_points=drop))
            yield _File(share, precision, path, sizes[share]["parameters"][1], sizes[share]["gflops"][1])


_WHEN = {"before": "before", "pruned": "right after", "tuned": "after fine-tuning"}


def measure_files(name: str, run: Run, files: Sequence[_File], seconds: float, threads: int) -> list[Row]:
    """A row for each file; the first is what the others are compared with."""
    classifiers = [Classifier(file.path, threads=threads) for file in files]
    images, truth = unseen(classifiers[0].card, run)
    right = [right_answers(file.path, images, truth, threads=threads) for file in files]
    timings = time_by_turns([lambda one=one: one.probabilities(images[:1]) for one in classifiers], seconds)
    base = timings[0].percentile_ms(50)
    return [
        Row(
            name,
            file.share,
            file.precision,
            file.parameters,
            file.gflops,
            file.path.stat().st_size / 1e6,
            timing.percentile_ms(50),
            timing.percentile_ms(90),
            timing.n,
            base / timing.percentile_ms(50),
            float(found.mean()),
            *paired(right[0], found),
            len(truth),
        )
        for file, timing, found in zip(files, timings, right, strict=True)
    ]


def _cells(row: Row) -> tuple[str, ...]:
    whole = not row.share and row.precision == "fp32"
    return (
        "all" if not row.share else f"{1 - row.share:.0%}",
        row.precision,
        f"{row.parameters / 1e6:.2f}",
        f"{row.gflops:.3f}",
        f"{row.megabytes:.2f}",
        f"{row.p50_ms:.2f}",
        f"{row.p90_ms:.2f}",
        f"{row.times:.2f}",
        f"{row.accuracy:.1%}",
        "" if whole else points(row.difference, row.low, row.high),
        str(row.n),
    )


if __name__ == "__main__":
    sys.exit(main())
