"""Trains the three strategies of transfer learning one after another on the same split, and compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_data import ImageStore, default_cache_bytes
from edge_runtime import (
    EdgeError,
    OutputError,
    Progress,
    Sample,
    Silence,
    UsageError,
    WeightsError,
    as_kind,
    usable_cores,
    write_json,
)
from edge_train.network.backbones import as_file_name
from edge_train.network.weights import parse_weights
from edge_train.run.callbacks import Callback
from edge_train.run.split_answers import SplitAnswers
from edge_train.run.stamped_folder import make_stamped_folder, plain_name
from edge_train.run.train_result import TrainResult
from edge_train.run.training import train
from edge_train.run.versions import now
from edge_train.settings import STRATEGIES, Strategy, TrainSettings, find_strategy
from edge_train.several_runs.comparison import Comparison, StrategyRow, choose_best
from edge_train.several_runs.comparison_pictures import (
    SHOWN,
    Answered,
    Answers,
    Curve,
    draw_comparison,
    draw_predictions,
)
from edge_train.several_runs.measured_run import row_of

# Enough to find four on which strategies of 98 % disagree, and read in seconds.
LOOKED_AT: Final = 200
NO_WEIGHTS: Final = "it needs pretrained weights, but `weights` is none"


def compare(
    settings: TrainSettings,
    progress: Progress | None = None,
    *,
    strategies: Sequence[Strategy] = STRATEGIES,
    callbacks: Sequence[Callback] = (),
) -> Comparison:
    """Train each of `strategies` as `settings` say, whatever strategy they name, and compare the runs.

    The runs are ordinary ones in `settings.out`, beside a new folder with comparison.json, comparison.png and, where a
    picture has one label, predictions.png. A strategy that fails, or has no pretrained weights to start from, is a row
    with its `reason`, and the others are still trained. What is wrong for every strategy alike ends the comparison. An
    interruption leaves the runs that are finished. `callbacks` hear of each run by itself; where they stop one, the
    next begins.

    Raises:
        UsageError: settings, data or a weights file that no strategy can use (exit 2).
        WeightsError: a weights file that does not fit.
        OutputError: a folder cannot be written.
        EdgeError: no strategy could be trained, or the images changed between two runs.
    """
    progress = progress or Silence()
    as_kind(settings, TrainSettings, "`settings`")
    if settings.prune is not None:
        raise UsageError("what is left of a run is fine-tuned: no strategies are compared", "drop `prune`")
    if settings.folds is not None:
        raise UsageError("strategies are compared on one split, not on `folds`", "drop `folds`, or name one strategy")
    wanted = tuple(dict.fromkeys(find_strategy(name) for name in strategies))
    if not wanted:
        raise UsageError("no strategy is named to compare", f"there are {', '.join(STRATEGIES)}")
    results, reasons, failures = _train_all(settings, wanted, progress, callbacks)
    if not results:
        if failures:
            raise failures[0]
        raise UsageError(f"none of {', '.join(wanted)} can be trained: {NO_WEIGHTS}", "drop `weights` none")
    rows = tuple(
        row_of(name, results[name].run, results[name].summary, results[name].card.kind)
        if name in results
        else StrategyRow(strategy=name, reason=reasons[name])
        for name in wanted
    )
    best, why = choose_best(rows, _right(results))
    card = next(iter(results.values())).card
    folder = _make_folder(settings.out, str(card.data["name"]), card.backbone)
    comparison = Comparison(folder, rows, best, why)
    write_json(folder / "comparison.json", {"created": now(), **comparison.to_json()})
    curves: dict[str, Curve] = {
        name: [(row.epoch, row.val_accuracy) for row in result.history] for name, result in results.items()
    }
    draw_comparison(folder / "comparison.png", comparison, curves, title=f"{card.backbone} on {card.data['name']}")
    if card.kind != "single-label":
        progress.say(f"comparison {folder}")
        return comparison
    answers = _look(results, settings.threads or usable_cores())
    if answers.images:
        draw_predictions(folder / "predictions.png", answers)
    else:
        progress.say(f"note: no predictions.png: no {answers.split} image can be read any more")
    progress.say(f"comparison {folder}")
    return comparison


def _train_all(
    settings: TrainSettings, strategies: Sequence[Strategy], progress: Progress, callbacks: Sequence[Callback]
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
            result = train(settings.for_strategy(strategy), progress, callbacks=callbacks)
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
            _require_same_split(other, result)
        results[strategy] = result
    return results, reasons, failures


def _right(results: Mapping[Strategy, TrainResult]) -> dict[Strategy, NDArray[np.bool_]]:
    """Which of the same validation images each run has right, in one order; none of several labels a picture."""
    return {
        name: found.right
        for name, result in results.items()
        if isinstance(found := result.answers.get("val"), SplitAnswers)
    }


def _require_same_split(one: TrainResult, two: TrainResult) -> None:
    if any(getattr(one.splits, part) != getattr(two.splits, part) for part in ("train", "val", "test")):
        raise EdgeError(
            f"{one.run.path} and {two.run.path} were not trained on the same split: the data changed between the runs",
            "leave the data folder alone while strategies are compared, and compare again",
        )


def _make_folder(out: Path, data: str, backbone: str) -> Path:
    """A new folder in `out`, named as runs are; one that exists is never used again. Raises OutputError."""
    try:
        return make_stamped_folder(out, f"comparison-{plain_name(data)}-{as_file_name(backbone)}")
    except OSError as error:
        raise OutputError(
            f"cannot make a folder in {out}: {error.strerror or error}", "make room or choose another folder with `out`"
        ) from error


def _look(results: Mapping[Strategy, TrainResult], threads: int) -> Answers:
    """What the runs answered on test images, the classes taking turns; where those are few, on validation too.

    Images that cannot be read any more are left out.
    """
    first = next(iter(results.values()))
    test = first.splits.test
    enough = len(test) >= SHOWN
    chosen = _in_turn(test if enough else (*first.splits.val, *test))[:LOOKED_AT]
    name = "test" if enough else "validation and test" if test else "validation"
    store = ImageStore(first.data_root, first.card.preprocessing, cache_bytes=default_cache_bytes(), threads=threads)
    bad = store.read_all((), chosen)
    given = [
        {
            sample.path: row
            for found in result.answers.values()
            if isinstance(found, SplitAnswers)
            for sample, row in zip(found.samples, found.probabilities(result.card.temperature), strict=True)
        }
        for result in results.values()
    ]
    images = [
        Answered(sample.label, store.pixels(sample), tuple(rows[sample.path] for rows in given))
        for sample in chosen
        if sample.path not in bad
    ]
    return Answers(name, first.card.labels, tuple(results), tuple(images))


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
