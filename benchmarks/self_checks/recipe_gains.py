"""What `edge train --recipe` brings on pictures of each field, against the defaults.

    python benchmarks/self_checks/recipe_gains.py --pictures DIR [--weights DIR] [--recipe NAME] [--seeds 1,2,3]

--pictures holds chest_xray, recyclables, flowers128, hymenoptera and receipts, each class a folder; --weights holds
BACKBONE*.pth. For each seed a split is drawn and both are trained on it and answer its test pictures: `plain` ones are
like the training's, `field` ones were changed as the field changes them (field_sets.py says how). Figures are over all
seeds; the difference has a 95 % bootstrap interval over pictures, paired and by class, in which each picture that
several seeds tested is drawn as one. It does not hold what another training would change: the differences by seed
stand beside it. The recipes were chosen on the split of seed 0, so that one is not to be counted.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_benchmarks import Table
from edge_runtime import UsageError, write_json
from edge_train import TrainResult, TrainSettings, find_recipe, train
from field_sets import FIELD, Row, camera_trap, documents, products, write_set, xrays
from shared import check, flags, say

COLUMNS = ("recipe", "pictures", "figure", "defaults", "recipe", "difference", "95 % interval", "by seed", "n")
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Case:
    """A recipe's field: how its pictures are made, what both trainings are told, and the class that matters most."""

    rows: Callable[[Path, int], Iterator[Row]]
    told: Mapping[str, Any]
    rare: str


CASES: Mapping[str, Case] = {
    "medical": Case(
        lambda root, seed: xrays(root / "chest_xray", seed),
        {"backbone": "resnet18", "image_size": 160, "positive": "ill"},
        "normal",
    ),
    "products": Case(
        lambda root, seed: products(root / "recyclables", seed),
        {"backbone": "mobilenet_v2", "image_size": 128},
        "trash",
    ),
    "wildlife": Case(
        lambda root, seed: camera_trap(root / "flowers128", root / "hymenoptera", seed),
        {"backbone": "mobilenet_v2", "image_size": 128},
        "ants",
    ),
    "documents": Case(
        lambda root, seed: documents(root / "receipts", seed),
        {"backbone": "mobilenet_v2", "image_size": 160},
        "receipt",
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """One training's answers to the pictures of a test: which are right, by the rule that a figure goes by."""

    sources: NDArray[np.str_]
    labels: NDArray[np.str_]
    right: NDArray[np.bool_]

    def within(self, chosen: NDArray[np.bool_]) -> Tested:
        """Those of some of the pictures."""
        return Tested(self.sources[chosen], self.labels[chosen], self.right[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """Of each picture of a class `[N]`: how often it was tested, and how often each of the two was right `[2, N]`."""

    tests: NDArray[np.int64]
    right: NDArray[np.int64]


Figure = Callable[[Mapping[str, Units]], NDArray[np.float64]]


def main() -> int:
    """Train, measure and print; 1 where something failed or, with --check, a recipe is no better than the defaults."""
    parser = flags("what the recipes bring against the defaults")
    parser.add_argument("--pictures", type=Path, required=True, help="folder of the sets' folders")
    parser.add_argument("--weights", type=Path, help="folder of BACKBONE*.pth (default: downloaded)")
    parser.add_argument("--recipe", action="append", choices=list(CASES), help="one of them; may be repeated (all)")
    parser.add_argument("--seeds", default="1,2,3", help="(default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured to FILE, too")
    given = parser.parse_args()
    return check(given, lambda folder: measure(given, folder))


def measure(given: argparse.Namespace, folder: Path) -> bool:
    """Print the table of the recipes asked for; whether each is better in balanced accuracy, beyond its interval."""
    try:
        seeds = [int(seed) for seed in given.seeds.split(",")]
    except ValueError:
        raise UsageError(f"--seeds {given.seeds}: whole numbers with commas between are needed") from None
    if not given.pictures.is_dir():
        raise UsageError(f"--pictures {given.pictures} is no folder")
    rows, better = [], True
    for name in given.recipe or CASES:
        pairs = []
        for seed in seeds:
            data = write_set(CASES[name].rows(given.pictures, seed), folder / f"{name}-{seed}", seed)
            pairs.append(_train_both(name, data, seed, given.weights, folder))
        found = list(compare(name, CASES[name].rare, pairs))
        better &= any(row["figure"] == "balanced accuracy" and row["low"] > 0 for row in found)
        rows += found
        say(Table(COLUMNS, tuple(map(_cells, found)), left=3).text())
    if given.json is not None:
        write_json(given.json, {"seeds": seeds, "rows": rows})
    return better


def _train_both(name: str, data: Path, seed: int, weights: Path | None, folder: Path) -> Sequence[Mapping[str, Tested]]:
    told = {**CASES[name].told, "data": str(data), "seed": seed, "out": folder / "runs"}
    if weights is not None:
        files = sorted(weights.glob(f"{told['backbone']}*.pth"))
        if not files:
            raise UsageError(f"--weights {weights} has no {told['backbone']}*.pth")
        told["weights"] = str(files[0])
    with data.open(encoding="utf-8", newline="") as file:
        sources = {row["path"]: row["source"] for row in csv.DictReader(file)}
    both = []
    for settings in (TrainSettings(**told), find_recipe(name).settings(**told)):
        result = train(settings)
        say(f"{name}, seed {seed}, {settings.recipe or 'defaults'}: {result.summary['seconds']:.0f} s")
        both.append(tested(result, sources))
    return both


def tested(result: TrainResult, sources: Mapping[str, str]) -> Mapping[str, Tested]:
    """The answers to the plain pictures of a run's test, to those of the field, and to all at the run's threshold."""
    answers = result.answers["test"]
    labels = np.array(result.card.labels)
    truth = labels[answers.labels]
    names = np.array([sources[sample.path] for sample in answers.samples])
    everything = Tested(names, truth, answers.logits.argmax(axis=1) == answers.labels)
    changed = np.array([f"/{FIELD}/" in f"/{sample.path}" for sample in answers.samples])
    found = {"plain": everything.within(~changed)}
    if changed.any():
        found["field"] = everything.within(changed)
    if (point := result.card.operating_point) is not None:
        at = list(labels).index(point.positive)
        called = answers.probabilities(result.card.temperature)[:, at] >= point.threshold
        found["at threshold"] = Tested(names, truth, called == (truth == point.positive))
    return found


def compare(name: str, rare: str, pairs: Sequence[Sequence[Mapping[str, Tested]]]) -> Iterator[dict[str, Any]]:
    """The rows of one recipe: `pairs` are the answers of defaults and recipe, for each seed."""
    for kind in pairs[0][0]:
        sides = [[pair[arm][kind] for arm in (0, 1)] for pair in pairs]
        whole, each = units(sides), [units([side]) for side in sides]
        named = {label: _sensitivity(label) for label in (sorted(whole) if kind == "at threshold" else [rare])}
        figures = {**({} if kind == "at threshold" else OVERALL), **named}
        for title, figure in figures.items():
            before, after = figure(whole)
            low, high = interval(whole, figure)
            yield {
                "recipe": name,
                "pictures": kind,
                "figure": title if title in OVERALL else f"found of {title}",
                "defaults": float(before),
                "with": float(after),
                "difference": float(after - before),
                "low": low,
                "high": high,
                "by_seed": [float(np.diff(figure(one))[0]) for one in each],
                "pictures_n": sum(len(unit.tests) for unit in whole.values()),
                "tests_n": int(sum(unit.tests.sum() for unit in whole.values())),
            }


def units(sides: Sequence[Sequence[Tested]]) -> dict[str, Units]:
    """The tests of several seeds, by class, each picture one unit."""
    counted: dict[str, dict[str, list[int]]] = {}
    for pair in sides:
        for source, label, *right in zip(pair[0].sources, pair[0].labels, *(side.right for side in pair), strict=True):
            unit = counted.setdefault(str(label), {}).setdefault(str(source), [0, 0, 0])
            for place, more in enumerate((1, *right)):
                unit[place] += int(more)
    return {
        label: Units(table[:, 0], table[:, 1:].T)
        for label, found in sorted(counted.items())
        for table in [np.array(list(found.values()))]
    }


def accuracy(found: Mapping[str, Units]) -> NDArray[np.float64]:
    """Right among all tests, of each of the two."""
    right = np.sum([unit.right.sum(axis=1) for unit in found.values()], axis=0)
    return np.asarray(right / sum(unit.tests.sum() for unit in found.values()), dtype=np.float64)


def balanced_accuracy(found: Mapping[str, Units]) -> NDArray[np.float64]:
    """The mean over classes of the share that is right, of each of the two."""
    return np.asarray(np.mean([unit.right.sum(axis=1) / unit.tests.sum() for unit in found.values()], axis=0))


def _sensitivity(label: str) -> Figure:
    return lambda found: np.asarray(found[label].right.sum(axis=1) / found[label].tests.sum(), dtype=np.float64)


OVERALL: Mapping[str, Figure] = {"accuracy": accuracy, "balanced accuracy": balanced_accuracy}


def interval(found: Mapping[str, Units], figure: Figure) -> tuple[float, float]:
    """The 95 % bootstrap interval of the difference of a figure, pictures drawn within their class (seed 0)."""
    draw = np.random.default_rng(0)
    differences = []
    for _ in range(RESAMPLES):
        chosen = {label: draw.integers(0, len(unit.tests), len(unit.tests)) for label, unit in found.items()}
        drawn = {label: Units(unit.tests[chosen[label]], unit.right[:, chosen[label]]) for label, unit in found.items()}
        before, after = figure(drawn)
        differences.append(after - before)
    low, high = np.quantile(differences, (0.025, 0.975))
    return float(low), float(high)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    points = [f"{100 * row[key]:+.1f}" for key in ("difference", "low", "high")]
    return (
        row["recipe"],
        row["pictures"],
        row["figure"],
        f"{row['defaults']:.1%}",
        f"{row['with']:.1%}",
        points[0],
        f"{points[1]} to {points[2]}",
        " ".join(f"{100 * each:+.1f}" for each in row["by_seed"]),
        f"{row['tests_n']:,} tests of {row['pictures_n']:,}",
    )


if __name__ == "__main__":
    sys.exit(main())
