"""What tuning wins back of int8's loss: fp32, int8 and tuned int8 of a run on its test pictures.

    python benchmarks/self_checks/int8_tuned.py --run runs/NAME [--run …] [--epochs 2] [--images N] [--check]

Each run is exported three times, with the whole network in int8 whatever it costs, and the files answer the run's test
split, or its first N pictures. Differences to fp32 and from int8 to tuned are paired, with a 95 % bootstrap interval
over pictures. With --check it ends with 1 where a tuned file loses more than 0.3 points to fp32.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_benchmarks import Table
from edge_data import read_split, run_places, scan_as_trained
from edge_export import ExportSettings, export
from edge_runtime import Classifier, Run, Silence, read_batches
from shared import at_least_1, check, flags, say

COLUMNS = ("run", "n", "fp32", "int8", "tuned", "int8 − fp32", "tuned − fp32", "tuned − int8", "best epoch")
RESAMPLES = 2000
LEAST_POINTS = -0.3

Right = NDArray[np.bool_]


class _Said(Silence):
    """What an export says, on stdout, without bars."""

    def say(self, text: str) -> None:
        say(f"  {text}")


def main() -> int:
    """Export, answer and print; 1 where something failed or, with --check, the target was missed."""
    parser = flags("what tuning wins back of int8's loss")
    parser.add_argument("--run", type=Path, action="append", required=True, help="run folder; several may be named")
    parser.add_argument("--epochs", type=at_least_1, default=2, help="of tuning (default: %(default)s)")
    parser.add_argument("--images", type=at_least_1, help="test pictures to answer (default: all)")
    given = parser.parse_args()

    def measure(folder: Path) -> bool:
        rows, lost = [], []
        for path in given.run:
            right, best = answer(Run(path), folder, given.epochs, given.images)
            found = {name: 100 * float(hits.mean()) for name, hits in right.items()}
            pairs = [("fp32", "int8"), ("fp32", "tuned"), ("int8", "tuned")]
            told = [difference(right[before], right[after]) for before, after in pairs]
            shares = [f"{found[name]:.2f} %" for name in ("fp32", "int8", "tuned")]
            rows.append((path.name, str(len(right["fp32"])), *shares, *told, f"{best} of {given.epochs}"))
            lost += [f"{path.name} loses"] if found["tuned"] - found["fp32"] < LEAST_POINTS else []
            say(Table(COLUMNS, tuple(rows), left=1).text())
        say("\n".join(lost) or f"no tuned file loses more than {-LEAST_POINTS} points to fp32")
        return not lost

    return check(given, measure)


def answer(run: Run, folder: Path, epochs: int, images: int | None) -> tuple[Mapping[str, Right], int]:
    """Which test pictures each of the run's three files has right, and the epoch of tuning that was kept."""
    settings = {
        "fp32": ExportSettings(),
        "int8": ExportSettings(precision="int8", max_drop_points=100),
        "tuned": ExportSettings(precision="int8", max_drop_points=100, tune=epochs),
    }
    right, best = {}, 0
    for name, chosen in settings.items():
        say(f"{run.path.name}, {name}")
        done = export(run, out=folder / f"{run.path.name}-{name}.onnx", settings=chosen, progress=_Said())[0]
        best = done.card.quantization.get("tuned", {}).get("best_epoch", 0)
        right[name] = _hits(run, done.path, images)
    return right, best


def _hits(run: Run, path: Path, images: int | None) -> Right:
    classifier = Classifier(path)
    card = classifier.card
    root = scan_as_trained(run_places(run.read_config()), card).root
    samples = read_split(run.split, card.labels).test[:images]
    found = []
    for batch in read_batches(card.preprocessing, root, samples):
        truth = np.array([sample.label for sample in batch.samples])
        found.append(classifier.probabilities(batch.pixels).argmax(axis=1) == truth)
    return np.concatenate(found)


def difference(before: Right, after: Right) -> str:
    """Points from one to the other, with the interval over pictures."""
    change = after.astype(np.float64) - before
    drawn = np.random.default_rng(0).choice(change, (RESAMPLES, len(change))).mean(axis=1)
    low, high = 100 * np.quantile(drawn, (0.025, 0.975))
    return f"{100 * change.mean():+.2f} ({low:+.2f} to {high:+.2f})"


if __name__ == "__main__":
    sys.exit(main())
