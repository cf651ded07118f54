"""The three strategies of transfer learning trained one after another on the same split, and compared."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from edge_data import ImageStore, default_cache_bytes, read_split
from edge_runtime import (
    EdgeError,
    OutputError,
    Preprocessing,
    Progress,
    Run,
    Sample,
    Silence,
    UsageError,
    WeightsError,
    wilson_interval,
    write_json,
)
from edge_train.network.checkpoint import load_checkpoint
from edge_train.network.network import DeployedNetwork
from edge_train.network.weights import parse_weights
from edge_train.run.finish import TrainResult
from edge_train.run.training import train
from edge_train.run.versions import choose_device, now
from edge_train.settings import STRATEGIES, Strategy, TrainSettings, find_strategy
from edge_train.several_runs.comparison_pictures import (
    SHOWN,
    Answered,
    Answers,
    Curve,
    draw_comparison,
    draw_predictions,
)

__all__ = ["Comparison", "StrategyRow", "choose_best", "compare"]

# So little accuracy is not worth training many times the parameters for: they take time and can overfit.
HALF_POINT: Final = 0.005
# Enough to find four on which strategies of 98 % disagree, and asked of three networks in seconds.
LOOKED_AT: Final = 200
NO_WEIGHTS: Final = "it needs pretrained weights, but `weights` is none"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRow:
    """One strategy of a comparison; accuracies and intervals in 0..1, all but `strategy` None where untrained.

    `train_accuracy` is that of the best epoch, over its augmented images, taken while the weights still moved: it
    may lie below validation accuracy. `val_interval` and `test_interval` are 95 % Wilson intervals; the test ones
    are None where the data has no test split. `seconds` is the whole run, from reading the images to the report.
    `parameters_share` is `parameters_trained` / `parameters`. `reason` says why a strategy was not trained, or not
    to the end.
    """

    strategy: Strategy
    run: Run | None = None
    train_accuracy: float | None = None
    val_accuracy: float | None = None
    val_n: int | None = None
    val_interval: tuple[float, float] | None = None
    test_accuracy: float | None = None
    test_n: int | None = None
    test_interval: tuple[float, float] | None = None
    seconds: float | None = None
    parameters_trained: int | None = None
    parameters: int | None = None
    parameters_share: float | None = None
    best_epoch: int | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as plain data, under the names of its fields."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return plain | {"run": str(self.run.path) if self.run else None}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A finished comparison: its folder, a row per strategy, the one to export and the sentences that say why."""

    folder: Path
    rows: tuple[StrategyRow, ...]
    best: str
    why: str

    @property
    def best_run(self) -> Run:
        """The run to export."""
        return next(row.run for row in self.rows if row.strategy == self.best and row.run)

    def to_json(self) -> dict[str, Any]:
        """What comparison.json holds."""
        return {
            "folder": str(self.folder),
            "best": self.best,
            "best_run": str(self.best_run.path),
            "why": self.why,
            "strategies": [row.to_json() for row in self.rows],
        }


def compare(
    settings: TrainSettings, progress: Progress | None = None, *, strategies: Sequence[Strategy] = STRATEGIES
) -> Comparison:
    """Train each of `strategies` as `settings` say, whatever strategy they name, and compare the runs.

    The runs are ordinary ones in `settings.out`, beside a new folder with comparison.json, comparison.png and
    predictions.png. A strategy that fails, or has no pretrained weights to start from, is a row with its `reason`,
    and the others are still trained. What is wrong for every strategy alike ends the comparison. An interruption
    leaves the runs that are finished.

    Raises:
        UsageError: settings, data or a weights file that no strategy can use (exit 2).
        WeightsError: a weights file that does not fit.
        OutputError: a folder cannot be written.
        EdgeError: no strategy could be trained, or the images changed between two runs.
    """
    progress = progress or Silence()
    wanted = tuple(dict.fromkeys(find_strategy(name) for name in strategies))
    if not wanted:
        raise UsageError("no strategy is named to compare", f"there are {', '.join(STRATEGIES)}")
    results, reasons, failures = _train_all(settings, wanted, progress)
    if not results:
        if failures:
            raise failures[0]
        raise UsageError(f"none of {', '.join(wanted)} can be trained: {NO_WEIGHTS}", "drop `weights` none")
    rows = tuple(
        _row(name, results[name]) if name in results else StrategyRow(strategy=name, reason=reasons[name])
        for name in wanted
    )
    best, why = choose_best(rows)
    card = next(iter(results.values())).card
    folder = _make_folder(settings.out, str(card.data["name"]), card.backbone)
    comparison = Comparison(folder, rows, best, why)
    write_json(folder / "comparison.json", {"created": now(), **comparison.to_json()})
    curves: dict[str, Curve] = {
        name: [(epoch, val) for epoch, _, val in _epochs(result.run)] for name, result in results.items()
    }
    draw_comparison(folder / "comparison.png", comparison, curves, title=f"{card.backbone} on {card.data['name']}")
    answers = _look(results, settings.device, progress)
    if answers.images:
        draw_predictions(folder / "predictions.png", answers)
    else:
        progress.say(f"note: no predictions.png: no {answers.split} image can be read any more")
    progress.say(f"comparison {folder}")
    return comparison


def choose_best(rows: Iterable[StrategyRow]) -> tuple[Strategy, str]:
    """The strategy to export and why: the highest validation accuracy, by which test accuracy stays unspent.

    Where 95 % intervals overlap, the validation images cannot tell two strategies apart; of those that overlap
    with the highest and lie within half a point of it, the one that trained the fewest parameters is taken.

    Raises:
        ValueError: no row is of a trained strategy.
    """
    ranked = sorted((row for row in rows if row.run), key=lambda row: -_val(row))
    if not ranked:
        raise ValueError("no strategy was trained")
    top = ranked[0]
    right = f"{top.strategy} has {_percent(_val(top))} of {top.val_n:,} validation images right"
    unspent = " Test accuracy had no part in the choice." if top.test_accuracy is not None else ""
    if len(ranked) == 1:
        return top.strategy, f"{right}; no other strategy was trained."
    alike = [row for row in ranked[1:] if _interval(row)[1] >= _interval(top)[0]]
    if not alike:
        ahead = f"{_lead(top, ranked[1])}, and the 95 % intervals do not overlap"
        return top.strategy, f"{right}, {ahead}.{unspent}"
    needed = [number for row in alike if (number := _images_to_tell_apart(_val(row), _val(top)))]
    enough = f" (that needs about {' and '.join(f'{number:,}' for number in needed)})" if needed else ""
    leads = " and ".join(_lead(top, row) for row in alike)
    text = f"{right}, {leads}. The 95 % intervals overlap: {top.val_n:,} images cannot tell them apart{enough}."
    close = [top, *(row for row in alike if _val(top) - _val(row) <= HALF_POINT + 1e-9)]
    best = min(close, key=lambda row: (row.parameters_trained, -_val(row), row.strategy == "scratch"))
    return best.strategy, f"{text} {_why_of_close(best, close)}{unspent}"


def _why_of_close(best: StrategyRow, close: Sequence[StrategyRow]) -> str:
    others = [row for row in close if row is not best]
    if not others:
        return "The highest validation accuracy decides."
    fewest = min(row.parameters_trained or 0 for row in others)
    if best.parameters_trained != fewest:
        return (
            f"Of those within half a point, {best.strategy} is taken: it trained the fewest parameters, "
            f"{best.parameters_trained:,} instead of {fewest:,}."
        )
    if any(_val(row) == _val(best) for row in others):
        return f"Of those that are level, {best.strategy} is taken, because it starts from pretrained weights."
    return "They trained equally many parameters, so the highest validation accuracy decides."


def _lead(top: StrategyRow, row: StrategyRow) -> str:
    points = 100 * (_val(top) - _val(row))
    return (
        f"{points:.{1 if points >= 0.05 else 3}f} points ahead of {row.strategy}"
        if points
        else f"level with {row.strategy}"
    )


def _images_to_tell_apart(low: float, high: float) -> int | None:
    """How many images it takes until the 95 % intervals of two accuracies part, to two digits; None for equal ones."""
    if not high > low:
        return None

    def parted(n: int) -> bool:
        return wilson_interval(round(low * n), n)[1] < wilson_interval(round(high * n), n)[0]

    enough = 2
    while not parted(enough):
        enough *= 2
    short = enough // 2
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (short, middle) if parted(middle) else (middle, enough)
    unit = int(10 ** max(0, len(str(enough)) - 2))
    return -(-enough // unit) * unit


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _val(row: StrategyRow) -> float:
    assert row.val_accuracy is not None, f"{row.strategy} was not trained"
    return row.val_accuracy


def _interval(row: StrategyRow) -> tuple[float, float]:
    assert row.val_interval is not None, f"{row.strategy} was not trained"
    return row.val_interval


def _train_all(
    settings: TrainSettings, strategies: Sequence[Strategy], progress: Progress
) -> tuple[dict[Strategy, TrainResult], dict[Strategy, str], list[EdgeError]]:
    """The finished runs, why the others are not, and the errors that ended those that began."""
    choice = parse_weights(settings.weights)
    no_weights = NO_WEIGHTS if choice == "none" else None
    results: dict[Strategy, TrainResult] = {}
    reasons: dict[Strategy, str] = {}
    failures: list[EdgeError] = []
    for number, strategy in enumerate(strategies, start=1):
        if strategy != "scratch" and no_weights:
            reasons[strategy] = no_weights
            progress.say(f"note: {strategy} is not trained: {no_weights}")
            continue
        progress.say(f"strategy {number} of {len(strategies)}: {strategy}")
        try:
            result = train(settings.for_strategy(strategy), progress)
        except (UsageError, OutputError):
            raise
        except EdgeError as error:
            if isinstance(error, WeightsError):
                if choice != "default":
                    raise
                no_weights = str(error)
            progress.end()
            progress.say(f"note: {strategy} is not trained: {error}")
            reasons[strategy] = str(error)
            failures.append(error)
            continue
        for other in list(results.values())[:1]:
            _require_same_split(other.run, result.run)
        results[strategy] = result
    return results, reasons, failures


def _require_same_split(one: Run, two: Run) -> None:
    if one.split.read_bytes() != two.split.read_bytes():
        raise EdgeError(
            f"{one.path} and {two.path} were not trained on the same split: the data changed between the runs",
            "leave the data folder alone while strategies are compared, and compare again",
        )


def _row(strategy: Strategy, result: TrainResult) -> StrategyRow:
    summary = result.summary
    val, test = summary["metrics"]["val"], summary["metrics"].get("test")
    return StrategyRow(
        strategy=strategy,
        run=result.run,
        train_accuracy=next((t for epoch, t, _ in _epochs(result.run) if epoch == summary["best_epoch"]), None),
        val_accuracy=val["accuracy"],
        val_n=val["n"],
        val_interval=tuple(val["accuracy_interval_95"]),
        test_accuracy=test["accuracy"] if test else None,
        test_n=test["n"] if test else None,
        test_interval=tuple(test["accuracy_interval_95"]) if test else None,
        seconds=summary["seconds"],
        parameters_trained=summary["parameters_trained"],
        parameters=summary["parameters"],
        parameters_share=summary["parameters_trained"] / summary["parameters"],
        best_epoch=summary["best_epoch"],
    )


def _epochs(run: Run) -> list[tuple[int, float | None, float | None]]:
    """Epoch, training and validation accuracy (0..1), one per row of metrics.csv; None where it is no number."""

    def number(cell: str | None) -> float | None:
        try:
            value = float(cell or "nan")
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    with run.metrics.open(encoding="utf-8", newline="") as file:
        return [
            (int(row["epoch"]), number(row.get("train_accuracy")), number(row.get("val_accuracy")))
            for row in csv.DictReader(file)
        ]


def _make_folder(out: Path, data: str, backbone: str) -> Path:
    """A new folder in `out`, named as runs are; one that exists is never used again. Raises OutputError."""
    data = re.sub(r"[^\w.-]+", "_", data).strip("._") or "data"
    name = f"comparison-{data}-{backbone}-{datetime.now():%Y%m%d-%H%M%S}"
    for number in range(1, 1000):
        folder = out / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise OutputError(
                f"cannot make {folder}: {error.strerror}", "make room or choose another folder with `out`"
            ) from error
        return folder
    raise OutputError(f"{out / name} and 998 like it exist", "choose another folder with `out`")


def _look(results: Mapping[Strategy, TrainResult], device: str, progress: Progress) -> Answers:
    """What the best checkpoints answer on test images, the classes taking turns; where those are few, validation too.

    Images that cannot be read any more are left out.
    """
    runs = [result.run for result in results.values()]
    checkpoints = [load_checkpoint(run.best) for run in runs]
    labels = checkpoints[0].card.labels
    splits = read_split(runs[0].split, labels)
    enough = len(splits.test) >= SHOWN
    chosen = _in_turn(splits.test if enough else (*splits.val, *splits.test))[:LOOKED_AT]
    name = "test" if enough else "validation and test" if splits.test else "validation"
    root, where = Path(runs[0].read_config()["data_root"]), choose_device(device)
    stores: dict[Preprocessing, ImageStore] = {}
    found = []
    for strategy, checkpoint in zip(results, checkpoints, strict=True):
        contract = checkpoint.card.preprocessing
        if contract not in stores:
            threads = torch.get_num_threads()
            stores[contract] = ImageStore(root, contract, cache_bytes=default_cache_bytes(), threads=threads)
            bad = stores[contract].read_all((), chosen)
            chosen = [sample for sample in chosen if sample.path not in bad]
        network = DeployedNetwork(checkpoint.build(), checkpoint.card.temperature).to(where)
        progress.begin(f"asking {strategy}", len(chosen))
        found.append(_ask(network, stores[contract], chosen, where, progress))
        progress.end()
    store = stores[checkpoints[0].card.preprocessing]
    images = [Answered(each.label, store.pixels(each), tuple(given[each.path] for given in found)) for each in chosen]
    return Answers(name, labels, tuple(results), tuple(images))


def _ask(
    network: DeployedNetwork, store: ImageStore, samples: Sequence[Sample], device: torch.device, progress: Progress
) -> dict[str, NDArray[np.float32]]:
    """The network's probabilities, float32 `[classes]`, by path."""
    found: dict[str, NDArray[np.float32]] = {}
    with torch.inference_mode():
        for start in range(0, len(samples), 32):
            batch = samples[start : start + 32]
            images = torch.from_numpy(np.stack([store.pixels(sample) for sample in batch]))
            rows = network(images.to(device)).float().cpu().numpy()
            found |= {sample.path: row for sample, row in zip(batch, rows, strict=True)}
            progress.advance(len(batch))
    return found


def _in_turn(samples: Sequence[Sample]) -> list[Sample]:
    """All of `samples` in an order of chance that is always the same: the first of each class, the second of each …"""
    turns: dict[int, int] = {}
    ranked = []
    for index in np.random.default_rng(0).permutation(len(samples)).tolist():
        label = samples[index].label
        turns[label] = turns.get(label, 0) + 1
        ranked.append((turns[label], index))
    order = np.random.default_rng(1).permutation(len(samples)).tolist()
    return [samples[index] for _, _, index in sorted((turn, order[index], index) for turn, index in ranked)]
