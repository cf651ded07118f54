"""Cross-validation: a run per fold, each trained on the others, and then one that is trained on everything.

All are run folders, those of the folds inside that of the last one; what was finished is not done again after a kill.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from edge_data import OUT_OF_FOLD, Splits, assign_folds, read_split
from edge_runtime import ModelCard, OutputError, Progress, Run, UsageError, write_json
from edge_train.network.checkpoint import load_checkpoint, save_checkpoint
from edge_train.run.callbacks import Callback
from edge_train.run.criterion import choose_criterion
from edge_train.run.epochs import FitState, fit, read_state
from edge_train.run.feature_extraction import SharedEmbeddings, choose_views
from edge_train.run.finish import epoch_figures, summarize
from edge_train.run.interruption import interruptible
from edge_train.run.job import Job
from edge_train.run.prepare import prepare, prepare_afresh
from edge_train.run.run_folder import begin_run, create_run, finish_run
from edge_train.run.time_taken import seconds_taken
from edge_train.run.train_result import TrainResult
from edge_train.settings import TrainSettings
from edge_train.several_runs.cross_validated_run import finish_cross_validated
from edge_train.several_runs.cross_validation import CrossValidation, Fold
from edge_train.trackers.tracking import listen


def cross_validate(
    settings: TrainSettings, progress: Progress, callbacks: Sequence[Callback], started: float
) -> TrainResult:
    """Train `settings.folds` runs, each on all folds but one, and one on everything, which is the result.

    `started` is when the work began, in seconds of `time.perf_counter`. Raises what `train` raises.
    """
    _require_one_process()
    job = prepare(settings, progress)
    listen(job, callbacks)
    more = {"views": choose_views(job), "precision": job.precision}
    run = create_run(job.settings, job.card, job.splits, data_root=job.store.root, places=job.places, more=more)
    progress.say(f"run {run.path}")
    return _go_on(job, run, started)


def cross_validate_again(run: Run, progress: Progress, callbacks: Sequence[Callback], started: float) -> TrainResult:
    """Go on with one that was interrupted, at its first unfinished fold. Raises what `resume` raises."""
    _require_one_process()
    job = prepare_afresh(run, progress)
    listen(job, callbacks)
    return _go_on(job, run, started)


def _go_on(job: Job, run: Run, started: float) -> TrainResult:
    splits = job.splits
    criterion, why = choose_criterion(job.settings.best_by, splits.train, splits.train)
    if why:
        job.progress.say(why)
    # By the images of one fold, another might be chosen.
    like = replace(job, settings=replace(job.settings, best_by=criterion), keeps_logits=True)
    start = {name: tensor.clone() for name, tensor in job.network.state_dict().items()}
    # Memory bounds the views: a run resumed with less of it must go on with as many.
    shared = SharedEmbeddings(job, int(run.read_config().get("views", 0)))
    runs = _fold_runs(like, run)
    started -= seconds_taken(run, *runs)
    folds = []
    with interruptible(job, run, kept=lambda: True):
        for number, fold_run in enumerate(runs, start=1):
            split = read_split(fold_run.split, job.card.labels)
            fold = replace(like, splits=split, card=_fold_card(job, number, len(runs)))
            job.progress.say(
                f"fold {number} of {len(runs)}: {len(split.train)} images train, {len(split.val)} are held out"
            )
            folds.append(Fold(number, fold_run, _train_fold(fold, fold_run, start, shared), split.val, split.groups))
        cross = CrossValidation(tuple(folds))
        cross.write_answers(run.path / OUT_OF_FOLD, job.card.labels)
        write_json(run.path / "folds.json", cross.to_json())
        best = ", ".join(str(fold.state.best_epoch) for fold in folds)
        job.progress.say(
            f"all {len(splits.train)} images train for {cross.epochs} epochs, the median of the folds' best ({best})"
        )
        state = fit(job, run, _begin(job, run, start), shared=shared, until=cross.epochs)
        result = finish_cross_validated(job, run, state, cross, started)
        job.listeners.end(result)
        return result


def _train_fold(job: Job, run: Run, start: Mapping[str, torch.Tensor], shared: SharedEmbeddings) -> FitState:
    if run.summary.is_file():
        job.progress.say(f"{run.name} is finished already")
        return read_state(load_checkpoint(run.last).training)
    saved = _begin(job, run, start)
    started = time.perf_counter() - seconds_taken(run)
    state = fit(job, run, saved, shared=shared)
    answers = Fold(0, run, state, job.splits.val, job.splits.groups).answers(state.best_epoch)
    temperature = answers.fit_temperature()
    metrics = {"val": answers.measure(job.card.labels, temperature, judged=answers.cross_fitted())}
    best = load_checkpoint(run.best)
    card = replace(best.card, temperature=temperature, metrics={"val": metrics["val"].on_card()})
    save_checkpoint(run.best, replace(best, card=card))
    summary = summarize(job, run, state, metrics, temperature)
    summary |= {"seconds": time.perf_counter() - started, "diagnosis": []}
    finish_run(run, summary)
    history = epoch_figures(state)
    job.listeners.end(TrainResult(run, card, summary, (), job.splits, job.store.root, history, {"val": answers}))
    return state


def _begin(job: Job, run: Run, start: Mapping[str, torch.Tensor]) -> Mapping[str, Any] | None:
    """Put into the network what the run goes on from: its last epoch, with the state of training, or the start."""
    # metrics.csv is written last: where it is, last.pt was there, too.
    if run.last.is_file() or run.metrics.is_file():
        last = load_checkpoint(run.last)
        job.network.load_state_dict(dict(last.network))
        return last.training
    job.network.load_state_dict(dict(start))
    return None


def _fold_runs(job: Job, run: Run) -> tuple[Run, ...]:
    """The folds' run folders, each with its split: made at the beginning, all of them, and found again later."""
    settings, splits = job.settings, job.splits
    count = settings.folds or 0
    runs = tuple(Run(run.path / f"fold-{number}") for number in range(1, count + 1))
    if all(fold.config.is_file() for fold in runs):
        return runs
    where = assign_folds(splits.train, splits.groups, count, seed=settings.seed, labels=job.card.labels)
    for number, fold in enumerate(runs):
        train, held = (
            tuple(sample for sample, place in zip(splits.train, where, strict=True) if (place == number) is out)
            for out in (False, True)
        )
        split = Splits(train, held, (), f"fold {number + 1} of {count}", groups=splits.groups)
        _make(fold.path)
        more = {"fold": {"number": number + 1, "of": count}, "precision": job.precision}
        card = _fold_card(job, number + 1, count)
        begin_run(fold, settings, card, split, data_root=job.store.root, places=job.places, more=more)
    return runs


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}", "choose another folder with `out`") from error


def _fold_card(job: Job, number: int, count: int) -> ModelCard:
    return replace(job.card, data={**job.card.data, "fold": f"{number} of {count}"})


def _require_one_process() -> None:
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError("`folds` are trained in one process", "cross-validate without torchrun")
