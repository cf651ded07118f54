"""What int8 costs a trained network: each backbone's files in fp32 and int8, on images that no training saw.

    python benchmarks/self_checks/int8_accuracy.py --data DIR [--weights DIR] [--test DIR] [--backbones all] [--check]

Each backbone is fine-tuned where --weights has a file for it, trained from scratch where not, or taken from --run. Of
its fp32 file two in int8 are made by the code of `edge export`: whatever it costs, and as `--precision int8` makes it,
with the budget of --max-drop on the validation images; with --auto also what `--precision auto` chooses here, which
wants a quiet machine. Differences are of the files' accuracy, paired by image, in points, with a 95 % interval; `times`
is how many times as small as the fp32 file the int8 file is. With --check it ends with 1 where int8 with its budget is
refused, or loses more than 0.3 points.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_benchmarks import Table, choose_backbones
from edge_benchmarks.machine.environment import read_environment
from edge_data import read_split
from edge_export import ExportSettings, Quantizer, spread, write_onnx
from edge_export.precision.auto import choose
from edge_export.precision.int8_budget import fit_budget
from edge_runtime import ModelCard, ParityError, Run, read_batches, write_json
from edge_train import DeployedNetwork, load_checkpoint
from shared import at_least_1, check, flags, number, say
from trained_runs import by_backbone, paired, points, right_answers, train_run, unseen, weights_of

COLUMNS = ("backbone", "fp32", "int8, no budget", "int8", "float layers", "ranges", "times", "auto", "n")
MOST_LOST = 0.003
NO_BUDGET = 100.0
DEFAULTS = ExportSettings()
Batches: TypeAlias = list[tuple[NDArray[np.uint8], NDArray[np.int64]]]


@dataclass(frozen=True, slots=True)
class Lowered:
    """One file below fp32: what it lost, in 0..1, and how it was made; `refused` says why there is none."""

    asked: str
    precision: str = ""
    ranges: str = ""
    kept_float: tuple[str, ...] = ()
    megabytes: float = 0.0
    difference: float = 0.0
    low: float = 0.0
    high: float = 0.0
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One backbone: its fp32 file's accuracy in 0..1 on `n` images, and the files made of it."""

    backbone: str
    trained: str
    accuracy: float
    megabytes: float
    n: int
    files: tuple[Lowered, ...]

    @property
    def holds(self) -> bool:
        """Whether int8 as users get it is there, and loses no more than it may."""
        found = next(file for file in self.files if file.asked == "int8")
        return not found.refused and found.difference >= -MOST_LOST - 1e-9


def main() -> int:
    """Train, export, measure and print; 1 where something failed or, with --check, int8 loses too much."""
    parser = flags("what int8 costs trained networks", "threads")
    parser.add_argument("--data", type=Path, required=True, help="class folders")
    parser.add_argument("--weights", type=Path, help="folder of BACKBONE*.pth (default: downloaded)")
    parser.add_argument("--backbones", help="with commas between (default: those of --run, else all)")
    parser.add_argument("--run", type=Path, action="append", default=[], help="a finished run, instead of training one")
    parser.add_argument("--image-size", type=at_least_1, default=64, help="(default: %(default)s)")
    parser.add_argument("--epochs", type=at_least_1, default=4, help="(default: %(default)s)")
    parser.add_argument("--batch-size", type=at_least_1, default=64, help="(default: %(default)s)")
    parser.add_argument("--lr-scale", type=number(1e-3, 1e3), default=1.0, help="(default: %(default)s)")
    parser.add_argument("--limit", type=at_least_1, help="images in all (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--test", type=Path, help="labelled images to measure on (default: the split's test images)")
    parser.add_argument("--test-limit", type=at_least_1, help="how many of them (default: all)")
    parser.add_argument("--max-drop", type=number(0, 100), default=DEFAULTS.allowed_drop_points, help="(%(default)s)")
    parser.add_argument("--auto", action="store_true", help="also what --precision auto chooses here")
    parser.add_argument("--out", type=Path, help="keep the runs here (default: they are thrown away)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured to FILE, too")
    given = parser.parse_args()
    return check(given, lambda folder: measure(given, folder))


def measure(given: argparse.Namespace, folder: Path) -> bool:
    """Print a row as soon as it is known, then the table; whether int8 with its budget holds for every backbone."""
    say(str(read_environment(threads=given.threads)))
    finished = by_backbone(given.run)
    rows: list[Row] = []
    for backbone in choose_backbones(given.backbones or ",".join(finished) or "all"):
        run = finished.get(backbone.name)
        if run is None:
            told = {"batch_size": given.batch_size, "lr_scale": given.lr_scale}
            weights = weights_of(backbone.name, given.weights)
            run = train_run(backbone.name, weights, given, given.out or folder, **told)
        rows.append(measure_run(run, folder, given))
        say(" | ".join(cells(rows[-1])))
        if given.json is not None:
            write_json(given.json, {"rows": [asdict(row) for row in rows]})
    say(Table(COLUMNS, tuple(map(cells, rows)), left=1).text())
    for row in rows:
        for file in row.files:
            if file.refused or file.kept_float:
                say(f"{row.backbone}, {file.asked}: {file.refused or 'in float: ' + ', '.join(file.kept_float)}")
    missed = [row.backbone for row in rows if not row.holds]
    say(f"over {100 * MOST_LOST:g} points lost: {', '.join(missed)}" if missed else "no target is missed")
    return not missed


def measure_run(run: Run, folder: Path, given: argparse.Namespace) -> Row:
    """The run's files, made in `folder`, on its test images or those of --test."""
    checkpoint = load_checkpoint(run.best)
    card, source = checkpoint.card, folder / f"{checkpoint.card.backbone}.onnx"
    write_onnx(DeployedNetwork(checkpoint.build()), card, source)
    calibration, validation = _seen(run, card)
    pixels, truth = unseen(card, run, given.test, most=given.test_limit)
    right = right_answers(source, pixels, truth, threads=given.threads)

    def made(asked: str, make: Callable[[Path], Made]) -> Lowered:
        path = folder / f"{card.backbone}-{asked.replace(' ', '-')}.onnx"
        try:
            found = make(path)
        except ParityError as error:
            return Lowered(asked, refused=error.message)
        after = right_answers(found.path, pixels, truth, threads=given.threads)
        size = found.path.stat().st_size / 1e6
        return Lowered(asked, found.precision, found.ranges, found.kept_float, size, *paired(right, after))

    with Quantizer(source, [part for part, _ in calibration], threads=given.threads) as quantizer:

        def int8(path: Path, max_drop: float) -> Made:
            result = fit_budget(quantizer, path, lambda: validation, max_drop)
            return Made(path, result.precision, result.method, result.kept_float)

        files = [
            made("no budget", lambda path: int8(path, NO_BUDGET)),
            made("int8", lambda path: int8(path, given.max_drop)),
        ]
    if given.auto:
        files.append(made("auto", lambda path: _chosen(source, path, calibration, validation, given)))
    strategy, megabytes = str(run.read_config()["strategy"]), source.stat().st_size / 1e6
    return Row(card.backbone, strategy, float(right.mean()), megabytes, len(truth), tuple(files))


@dataclass(frozen=True, slots=True)
class Made:
    """A file below fp32, and how it was made."""

    path: Path
    precision: str
    ranges: str
    kept_float: tuple[str, ...]


def _chosen(source: Path, path: Path, calibration: Batches, validation: Batches, given: argparse.Namespace) -> Made:
    path.mkdir()
    pixels = [part for part, _ in calibration]
    choice = choose(source, path, pixels, lambda: validation, given.max_drop, threads=given.threads)
    how = choice.int8
    ranges, kept = ("", ()) if how is None else (how.method, how.kept_float)
    return Made(choice.path, choice.precision, ranges, kept)


def _seen(run: Run, card: ModelCard) -> tuple[Batches, Batches]:
    """The images that edge export would calibrate on, and the validation images: batches of pixels, and labels."""
    splits, root = read_split(run.split, card.labels), Path(run.read_config()["data_root"])
    wanted = spread(splits.train, DEFAULTS.wanted_calibration_images), splits.val
    calibration, validation = (
        [
            (batch.pixels, np.array([sample.label for sample in batch.samples]))
            for batch in read_batches(card.preprocessing, root, samples)
            if len(batch.samples)
        ]
        for samples in wanted
    )
    return calibration, validation


def cells(row: Row) -> tuple[str, ...]:
    """A line of the table."""
    by_name = {file.asked: file for file in row.files}
    said = {
        asked: "refused" if file.refused else points(file.difference, file.low, file.high)
        for asked, file in by_name.items()
    }
    int8, auto = by_name["int8"], by_name.get("auto")
    return (
        row.backbone,
        f"{row.accuracy:.1%}",
        said["no budget"],
        said["int8"],
        "–" if int8.refused else str(len(int8.kept_float)),
        int8.ranges or "–",
        f"{row.megabytes / int8.megabytes:.2f}" if int8.megabytes else "–",
        "–" if auto is None else auto.precision if auto.precision == "fp32" else f"{auto.precision} {said['auto']}",
        str(row.n),
    )


if __name__ == "__main__":
    sys.exit(main())
