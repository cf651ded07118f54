"""What int8 costs a trained network: each backbone's files in fp32 and int8, on images that no training saw.

    python benchmarks/self_checks/int8_accuracy.py --data DIR [--weights DIR] [--test DIR] [--backbones all] [--check]

Each backbone is fine-tuned where --weights has a file for it, trained from scratch where not, or taken from --run, and
exported four times: in fp32; in int8 whatever it costs; as `--precision int8` makes it, with its budget; and as
`--precision auto` chooses on this machine. Differences are of the model files' accuracy, paired by image, in points,
with a 95 % interval; `times` is how many times as small as the fp32 file the int8 file is. Latencies decide what auto
takes, so a busy machine may choose otherwise. With --check it ends with 1 where int8 with its budget is refused, or
loses more than 0.3 points.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_benchmarks import Table, choose_backbones
from edge_benchmarks.machine.environment import read_environment
from edge_export import Exported, ExportSettings, export
from edge_runtime import Classifier, ParityError, Run, write_json
from shared import at_least_1, check, flags, number, say
from trained_runs import by_backbone, paired, points, right_answers, train_run, unseen, weights_of

COLUMNS = ("backbone", "fp32", "int8, no budget", "int8", "float layers", "ranges", "times", "auto", "n")
MOST_LOST = 0.003
FILES = {
    "no budget": ExportSettings(precision="int8", max_drop_points=100),
    "int8": ExportSettings(precision="int8"),
    "auto": ExportSettings(precision="auto"),
}


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
    parser.add_argument("--backbones", default="all", help="with commas between (default: %(default)s)")
    parser.add_argument("--run", type=Path, action="append", default=[], help="a finished run, instead of training one")
    parser.add_argument("--image-size", type=at_least_1, default=64, help="(default: %(default)s)")
    parser.add_argument("--epochs", type=at_least_1, default=4, help="(default: %(default)s)")
    parser.add_argument("--batch-size", type=at_least_1, default=64, help="(default: %(default)s)")
    parser.add_argument("--lr-scale", type=number(1e-3, 1e3), default=1.0, help="(default: %(default)s)")
    parser.add_argument("--limit", type=at_least_1, help="images in all (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--test", type=Path, help="labelled images to measure on (default: the split's test images)")
    parser.add_argument("--test-limit", type=at_least_1, help="how many of them (default: all)")
    parser.add_argument("--out", type=Path, help="keep the runs here (default: they are thrown away)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured to FILE, too")
    given = parser.parse_args()
    return check(given, lambda folder: measure(given, folder))


def measure(given: argparse.Namespace, folder: Path) -> bool:
    """Print a row as soon as it is known, then the table; whether int8 with its budget holds for every backbone."""
    say(str(read_environment(threads=given.threads)))
    finished = by_backbone(given.run)
    rows: list[Row] = []
    for backbone in choose_backbones(given.backbones):
        run = finished.get(backbone.name)
        if run is None:
            told = {"batch_size": given.batch_size, "lr_scale": given.lr_scale}
            weights = weights_of(backbone.name, given.weights)
            run = train_run(backbone.name, weights, given, given.out or folder, **told)
        rows.append(measure_run(run, folder, given.test, given.test_limit, given.threads))
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


def measure_run(run: Run, folder: Path, test: Path | None, most: int | None, threads: int) -> Row:
    """The run's files, made in `folder`, on its test images or those of `test`."""
    path = folder / f"{run.name}-fp32.onnx"
    whole = export(run, out=path)[0]
    pixels, truth = unseen(Classifier(path).card, run, test, most=most)
    right = right_answers(path, pixels, truth, threads=threads)
    files = []
    for asked, settings in FILES.items():
        try:
            made = export(run, out=folder / f"{run.name}-{asked.replace(' ', '-')}.onnx", settings=settings)[0]
        except ParityError as error:
            files.append(Lowered(asked, refused=error.message))
            continue
        files.append(lowered(asked, made, right, right_answers(made.path, pixels, truth, threads=threads)))
    trained = str(run.read_config()["strategy"])
    return Row(whole.card.backbone, trained, float(right.mean()), whole.size_bytes / 1e6, len(truth), tuple(files))


def lowered(asked: str, made: Exported, before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Lowered:
    """What a file lost, by which images the fp32 file and it answer rightly, and how it was made."""
    how = made.card.quantization
    return Lowered(
        asked,
        made.card.precision,
        str(how.get("calibration", {}).get("method", "")),
        tuple(how.get("kept_float", ())),
        made.size_bytes / 1e6,
        *paired(before, after),
    )


def cells(row: Row) -> tuple[str, ...]:
    """A line of the table."""
    by_name = {file.asked: file for file in row.files}
    said = {
        asked: "refused" if file.refused else points(file.difference, file.low, file.high)
        for asked, file in by_name.items()
    }
    int8, auto = by_name["int8"], by_name["auto"]
    return (
        row.backbone,
        f"{row.accuracy:.1%}",
        said["no budget"],
        said["int8"],
        "–" if int8.refused else str(len(int8.kept_float)),
        int8.ranges or "–",
        f"{row.megabytes / int8.megabytes:.2f}" if int8.megabytes else "–",
        auto.precision if auto.precision == "fp32" else f"{auto.precision} {said['auto']}",
        str(row.n),
    )


if __name__ == "__main__":
    sys.exit(main())
