"""Weights of several runs of one backbone averaged into one network: a model soup (Wortsman et al. 2022).

The greedy soup (their recipe 1): runs in the order of how they validate, each kept only if the average with it
validates better. The network that comes out costs what one of them does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch.optim.swa_utils import update_bn

from edge_data import (
    ImageStore,
    Splits,
    default_cache_bytes,
    find_augmentation,
)
from edge_runtime import (
    RUNS_FOLDER,
    Accuracy,
    EdgeError,
    Metrics,
    ModelCard,
    Progress,
    Run,
    Sample,
    Silence,
    UsageError,
    as_kind,
    find_runs,
    usable_cores,
    write_json,
)
from edge_train.network.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from edge_train.network.network import Network
from edge_train.run.batches import evaluation_batches, even_size, training_batches
from edge_train.run.borrowed_torch import borrow_torch
from edge_train.run.criterion import choose_criterion, rank, value_of, written
from edge_train.run.optimism import EpochAnswers, Optimism, estimate_optimism
from edge_train.run.run_folder import check_out, create_run, finish_run
from edge_train.run.split_answers import SplitAnswers, answer_split
from edge_train.run.threshold import note_threshold, strictest, with_threshold
from edge_train.run.untrained import untrained_summary
from edge_train.run.versions import choose_device, now, versions
from edge_train.settings import Criterion
from edge_train.several_runs.averageable import check_runs, find_images_again, settings_of
from edge_train.targets.single_label import SingleLabel

STRATEGY = "average"
BATCH_SIZE = 64
BATCH_NORM_IMAGES = 1024
STATISTICS = (".running_mean", ".running_var")


@dataclass(frozen=True, slots=True)
class Score:
    """How a network validates: its accuracy, and mean cross-entropy; none right and infinity where it is no number.

    `value` is the figure that networks are chosen by, `criterion`, None where there is none.
    """

    accuracy: Accuracy
    loss: float
    value: float | None
    criterion: Criterion = "accuracy"

    @property
    def rank(self) -> tuple[float, float]:
        """Greater for the better: a better figure, or the same at a lower loss."""
        return rank(self.criterion, self.value, self.loss)

    def describe(self) -> str:
        """The score on one line."""
        more = "" if self.criterion in ("accuracy", "loss") else f"{written(self.criterion, self.value)}, "
        return f"{self.accuracy.share:.1%} ({more}{self.accuracy.correct} of {self.accuracy.n}, loss {self.loss:.3f})"

    def to_json(self) -> dict[str, Any]:
        """The score as plain data; JSON has no infinity."""
        loss = self.loss if math.isfinite(self.loss) else None
        return {"accuracy": self.accuracy.share, "n": self.accuracy.n, "loss": loss, "value": self.value}


@dataclass(frozen=True, slots=True)
class AverageStep:
    """One run: how it validates alone, how the average of those kept so far and it does, whether it was kept.

    `averaged` is None for the first, best run, which the average starts from.
    """

    run: Run
    alone: Score
    averaged: Score | None
    kept: bool

    def to_json(self) -> dict[str, Any]:
        """The step as plain data."""
        averaged = None if self.averaged is None else self.averaged.to_json()
        return {"run": str(self.run.path), "alone": self.alone.to_json(), "averaged": averaged, "kept": self.kept}


@dataclass(frozen=True, slots=True, eq=False)
class AverageResult:
    """The run folder made, the card of its best.pt, what summary.json says, and each run's part in it, best first."""

    run: Run
    card: ModelCard
    summary: dict[str, Any]
    steps: tuple[AverageStep, ...]


@borrow_torch()
def average(
    runs: Sequence[Run | str | Path],
    *,
    out: str | Path = RUNS_FOLDER,
    threads: int | None = None,
    progress: Progress | None = None,
) -> AverageResult:
    """Average the best checkpoints of `runs`, and leave a run folder below `out` if that validates better than each.

    Which runs are kept is chosen on the validation images, by the figure that the first one's `best_by` says, so the
    new run's validation accuracy flatters it; its test accuracy does not, and where there is none, summary.json says
    under `optimism` by about how much. Its config.json has the settings of
    the best run, and the steps as `average`.

    Raises:
        UsageError: fewer than two runs, one without best.pt, or runs that do not go together (exit 2).
        DataError: the images or a split are gone or changed (exit 2).
        CheckpointError: a checkpoint is damaged.
        EdgeError: no average beats the best single run; nothing is written.
        OutputError: the run folder cannot be written.
    """
    started, out = time.perf_counter(), Path(as_kind(out, Path, "`out`"))
    found = find_runs(runs)
    threads = as_kind(threads, int | None, "`threads`")
    progress = progress or Silence()
    if threads is not None and threads < 1:
        raise UsageError(f"`threads` {threads}: at least 1 is needed")
    torch.set_num_threads(threads := threads or usable_cores())
    first, splits = check_runs(found)
    root, places = find_images_again(found, first.card)
    check_out(out, places)
    store = ImageStore(root, first.card.preprocessing, cache_bytes=default_cache_bytes(), threads=threads)
    criterion, why = choose_criterion(settings_of(found[0], out).best_by, splits.train, splits.val)
    judge = _Judge(first.build().to(choose_device("auto")), store, splits, progress, criterion, 2 * len(found) - 1)
    progress.say(f"averaging {len(found)} runs of {first.card.backbone}: {len(splits.val)} validation images of {root}")
    if why:
        progress.say(why)
    steps, soup = _cook(found, judge)
    if soup.count == 1:
        raise _no_better(steps)
    judge.load(soup)
    card, metrics = _measure(steps, judge)
    if (optimism := _optimism(judge)) is not None:
        val = {**card.metrics["val"], "optimism_points": optimism.points}
        card = replace(card, metrics={**card.metrics, "val": val})
    run = create_run(settings_of(steps[0].run, out), card, splits, data_root=root, places=places)
    write_json(run.config, {**run.read_config(), STRATEGY: [step.to_json() for step in steps]})
    # No epoch made these weights.
    save_checkpoint(run.best, Checkpoint(card, judge.network.state_dict(), 0, {}))
    summary = _summary(run, card, metrics, steps, judge.network)
    note_threshold(summary, card)
    if optimism is not None:
        text = f"{optimism}; the epoch of each run was chosen on them before"
        summary["optimism"] = {**optimism.to_json(), "text": text}
    summary["seconds"] = time.perf_counter() - started
    finish_run(run, summary)
    return AverageResult(run, card, summary, steps)


@dataclass(frozen=True, slots=True, eq=False)
class _Soup:
    """Weights of `count` runs, `run` the first: their sum, floats in float64, and what is no float from the first."""

    run: Run
    total: Mapping[str, torch.Tensor]
    first: Mapping[str, torch.Tensor]
    count: int
    same_statistics: bool

    @classmethod
    def of(cls, run: Run) -> Self:
        """The soup of one run."""
        weights = load_checkpoint(run.best).network
        return cls(run, {name: w.double() for name, w in weights.items() if w.is_floating_point()}, weights, 1, True)

    def plus(self, run: Run) -> _Soup:
        """The soup with one more run in it."""
        weights = load_checkpoint(run.best).network
        same = all(torch.equal(w, self.first[name]) for name, w in weights.items() if name.endswith(STATISTICS))
        total = {name: w + weights[name].double() for name, w in self.total.items()}
        return _Soup(self.run, total, self.first, self.count + 1, self.same_statistics and same)

    def mean(self) -> dict[str, torch.Tensor]:
        """The average, in the types of the first; what is the same in all runs is bit for bit the same here."""
        floats = {name: (w / self.count).to(self.first[name].dtype) for name, w in self.total.items()}
        return {name: floats.get(name, w) for name, w in self.first.items()}


@dataclass(frozen=True, slots=True, eq=False)
class _Judge:
    """One network that every candidate's weights are put into, and the images it is judged on."""

    network: Network
    store: ImageStore
    splits: Splits
    progress: Progress
    criterion: Criterion
    # How many networks are tried at most.
    most: int
    # What each network that was tried answered on validation: the one kept is the best of them.
    tried: list[EpochAnswers] = field(default_factory=list)

    def load(self, soup: _Soup) -> None:
        """Put the average of a soup into the network; a single run stays as it was trained."""
        self.network.load_state_dict(soup.mean())
        # Averaged weights give activations that no run's statistics describe, nor their mean: the variance of an
        # average is smaller than the average of variances (REPAIR, Jordan et al. 2023). Where all runs have the
        # same statistics they were frozen, and the weights learned with them as constants: they stay.
        if not soup.same_statistics:
            self._reestimate_batch_norm(settings_of(soup.run, soup.run.path).augment)

    def score(self, soup: _Soup, task: str) -> Score:
        """How the soup validates."""
        self.load(soup)
        found = self.answers(self.splits.val, task)
        if not self.splits.test:
            self.tried.append(EpochAnswers.of(found, self.criterion, epochs=self.most))
        if not math.isfinite(loss := found.loss):
            return Score(Accuracy(0, len(found.labels)), math.inf, None, self.criterion)
        return Score(found.accuracy, loss, value_of(self.criterion, found), self.criterion)

    def answers(self, samples: Sequence[Sample], task: str) -> SplitAnswers:
        """What the network answers on `samples`, as the runtime would show them to it."""
        self.progress.begin(task, len(samples))
        batches = evaluation_batches(self.store, samples, batch_size=BATCH_SIZE)
        device = self.network.mean.device
        found = answer_split(self.network, samples, batches, device=device, on_images=self.progress.advance)
        self.progress.end()
        return replace(found, groups=self.splits.groups)

    def _reestimate_batch_norm(self, augment: str) -> None:
        """Take batch norm's statistics anew over up to 1,024 training images, augmented as in learning."""
        order = np.random.default_rng(0).permutation(len(self.splits.train))[:BATCH_NORM_IMAGES]
        some = [self.splits.train[index] for index in order]
        # Every batch weighs the same, however small.
        even = even_size(len(some), BATCH_SIZE)
        batches = training_batches(self.store, some, find_augmentation(augment), batch_size=even, seed=0, epoch=0)
        device = self.network.mean.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            # Stochastic depth draws in training mode, which update_bn sets.
            torch.manual_seed(0)
            update_bn((batch[0] for batch in batches), self.network, device=device)


def _cook(runs: Sequence[Run], judge: _Judge) -> tuple[tuple[AverageStep, ...], _Soup]:
    """The greedy soup, with one step for each run. Weights are read when needed: two soups are in memory at most."""
    alone = []
    for run in runs:
        alone.append((run, judge.score(_Soup.of(run), f"measuring {run.name}")))
        judge.progress.say(f"{run.name} alone: {alone[-1][1].describe()}")
    alone.sort(key=lambda pair: pair[1].rank, reverse=True)
    run, best = alone[0]
    soup = _Soup.of(run)
    steps = [AverageStep(run, best, None, True)]
    for run, score in alone[1:]:
        candidate = soup.plus(run)
        averaged = judge.score(candidate, f"averaging {run.name}")
        kept = averaged.rank > best.rank
        if kept:
            soup, best = candidate, averaged
        steps.append(AverageStep(run, score, averaged, kept))
        judge.progress.say(f"average with {run.name}: {averaged.describe()}, {'kept' if kept else 'left out'}")
    return tuple(steps), soup


def _optimism(judge: _Judge) -> Optimism | None:
    """How much choosing among the runs and their averages flatters validation; None where test is quoted instead."""
    val, names = judge.splits.val, judge.splits.groups
    labels = np.array([sample.label for sample in val], dtype=np.int64)
    groups = [names.get(sample.path, sample.path) for sample in val]
    found = estimate_optimism(judge.tried, labels, judge.criterion, groups=groups)
    return None if found is None else replace(found, what="runs and averages")


def _no_better(steps: Sequence[AverageStep]) -> EdgeError:
    best = steps[0]
    tried = "; ".join(f"with {step.run.name} {step.averaged.describe()}" for step in steps[1:] if step.averaged)
    return EdgeError(
        f"no average validates better than {best.run.name} alone, {best.alone.describe()}: {tried}",
        f"use {best.run.path} as it is; averages help most among runs that fine-tune the same pretrained weights "
        "with other rates, augmentations or epochs",
    )


def _measure(steps: Sequence[AverageStep], judge: _Judge) -> tuple[ModelCard, dict[str, Metrics]]:
    """The card of the average, calibrated on validation, and its figures on validation and test."""
    best = load_checkpoint(steps[0].run.best).card
    parts = (("val", judge.splits.val), ("test", judge.splits.test))
    answers = {name: judge.answers(samples, f"measuring {name}") for name, samples in parts if samples}
    calibrated, metrics = SingleLabel(best).calibrate(answers)
    card = replace(
        calibrated,
        strategy=STRATEGY,
        data={**best.data, "averaged": " + ".join(step.run.name for step in steps if step.kept)},
        versions=versions(),
        created=now(),
    )
    point, why = strictest([load_checkpoint(step.run.best).card.operating_point for step in steps if step.kept])
    if why:
        judge.progress.say(why)
    if point is None:
        return replace(card, operating_point=None), metrics
    return with_threshold(card, point.positive, point.min_sensitivity, answers), metrics


def _summary(
    run: Run, card: ModelCard, metrics: Mapping[str, Metrics], steps: Sequence[AverageStep], network: Network
) -> dict[str, Any]:
    """What a trained run's summary.json says, nothing having been trained, and the steps of the average."""
    return {
        **untrained_summary(run, card, metrics, network, best_by=steps[0].alone.criterion),
        "averaged": [str(step.run.path) for step in steps if step.kept],
        "steps": [step.to_json() for step in steps],
    }
