"""After the last epoch: calibrate and measure the best one, say what it suffers from, and write it all down."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge_runtime import MIN_SENSITIVITY, Metrics, ModelCard, Run, headline
from edge_train.network.checkpoint import load_checkpoint, save_checkpoint
from edge_train.network.fold_batch_norm import fold
from edge_train.report.diagnosis import Diagnosis, EpochFigures, diagnose
from edge_train.report.page import RunReport, repeat_command, write_report
from edge_train.report.targets_page import TargetReport, write_targets_report
from edge_train.run.epochs import FitState
from edge_train.run.job import Job
from edge_train.run.optimism import Optimism, estimate_optimism
from edge_train.run.pruned_run import note_pruning
from edge_train.run.run_folder import finish_run, plain_settings
from edge_train.run.split_answers import SplitAnswers
from edge_train.run.target_summary import note_targets
from edge_train.run.threshold import note_threshold, with_threshold
from edge_train.run.train_result import TrainResult
from edge_train.run.versions import git_revision
from edge_train.run.what_learns import count_parameters
from edge_train.targets.kinds import kind_of
from edge_train.targets.target_kind import Answers, Measured

if TYPE_CHECKING:
    from edge_train.several_runs.cross_validation import CrossValidation


def finish(job: Job, run: Run, state: FitState, started: float) -> TrainResult:
    """Write the calibrated best.pt, report.html and, last of all, summary.json.

    `started` is when the work began, in seconds of `time.perf_counter`.
    """
    best = load_checkpoint(run.best)
    job.network.load_state_dict(dict(best.network))
    folded = fold(job.network)
    answers = {
        name: job.answers(samples, f"measuring {name}", network=folded)
        for name, samples in (("val", job.splits.val), ("test", job.splits.test))
        if samples and not (name == "test" and job.part.spares_test)
    }
    card, metrics = kind_of(best.card).calibrate(answers)
    one_label = {name: given for name, given in answers.items() if isinstance(given, SplitAnswers)}
    optimism = _optimism(state, one_label)
    if optimism is not None:
        val = {**card.metrics["val"], "optimism_points": optimism.points}
        card = replace(card, metrics={**card.metrics, "val": val})
    if (positive := job.settings.positive) is not None:
        card = with_threshold(card, positive, job.settings.min_sensitivity or MIN_SENSITIVITY, one_label)
    summary = summarize(job, run, state, metrics, card.temperature)
    note_threshold(summary, card)
    note_targets(summary, card, run)
    if job.settings.prune is not None:
        note_pruning(summary, run, answers)
    if optimism is not None:
        summary["optimism"] = optimism.to_json()
    elif (unknown := _unknown_optimism(state, one_label)) is not None:
        summary["optimism"] = unknown
    summary["seconds"] = time.perf_counter() - started
    history = epoch_figures(state)
    diagnosis: tuple[Diagnosis, ...] = ()
    if job.world.leads:
        save_checkpoint(run.best, replace(best, card=card))
        if isinstance(judged := metrics["val"], Metrics):
            diagnosis = diagnose_run(job, history, judged)
            report_run(job, run, card, summary, history, diagnosis, one_label)
        else:
            report_targets(job, run, card, summary, history, answers, metrics)
        summary["diagnosis"] = [{"kind": d.kind, "text": d.text, "flag": d.flag} for d in diagnosis]
        finish_run(run, summary)
    job.world.collect(None)
    return TrainResult(run, card, summary, diagnosis, job.splits, job.store.root, history, answers)


def epoch_figures(state: FitState) -> tuple[EpochFigures, ...]:
    """A row for each epoch of a run."""
    return tuple(
        EpochFigures(
            row.epoch,
            row.train.loss,
            row.train.accuracy,
            row.val_loss,
            row.val_accuracy,
            row.train.seconds,
            row.value(state.criterion),
        )
        for row in state.history
    )


def _optimism(state: FitState, answers: Mapping[str, SplitAnswers]) -> Optimism | None:
    """How much the choice of the epoch flatters validation; None where nothing was chosen, or nobody quotes it."""
    if "test" in answers or state.answers is None or "val" not in answers:
        return None
    val = answers["val"]
    return estimate_optimism(state.answers, val.labels, state.criterion, groups=val.group_names)


def _unknown_optimism(state: FitState, answers: Mapping[str, SplitAnswers]) -> dict[str, Any] | None:
    """What summary.json says where one group of images chose the epoch: by how much that flatters cannot be told."""
    if "test" in answers or "val" not in answers or state.epoch < 2 or not answers["val"].is_one_group:
        return None
    images = len(answers["val"].samples)
    text = (
        f"the accuracy of the best of {state.epoch} epochs is too good on the {images} images that chose it; by how "
        "much is not known: validation is one group"
    )
    return {"points": None, "epochs": state.epoch, "images": images, "text": text}


def summarize(
    job: Job, run: Run, state: FitState, metrics: Mapping[str, Measured], temperature: float
) -> dict[str, Any]:
    """What summary.json says of a run, but for its time and what ails it."""
    trained, total = count_parameters(job, state.epoch)
    return {
        "run": run.name,
        "strategy": job.strategy,
        "backbone": job.backbone.name,
        "best_epoch": state.best_epoch,
        "best_by": state.criterion,
        "epochs": state.epoch,
        "temperature": temperature,
        "headline": headline(metrics),
        "metrics": {name: found.to_json() for name, found in metrics.items()},
        "parameters": total,
        "parameters_trained": trained,
        "training_seconds": sum(row.train.seconds for row in state.history),
        "training_accuracy": next(row.train.accuracy for row in state.history if row.epoch == state.best_epoch),
        "precision": job.precision,
        "cache_bound_bytes": job.store.bound_bytes * (2 if job.strategy == "feature-extraction" else 1),
        "command": repeat_command(plain_settings(job.settings)),
        "git_revision": git_revision(),
    }


def count_images(job: Job) -> dict[str, dict[str, int]]:
    """The images of each split and, in it, of each label."""
    return {
        name: job.targets.count(samples)
        for name, samples in (("train", job.splits.train), ("val", job.splits.val), ("test", job.splits.test))
    }


def diagnose_run(job: Job, history: Sequence[EpochFigures], val: Metrics) -> tuple[Diagnosis, ...]:
    """What ails a run of that history and those figures on the images that it was not trained on."""
    settings = job.settings
    return diagnose(
        history,
        strategy=job.strategy,
        epochs=settings.epochs,
        counts=count_images(job)["train"],
        val=val,
        backbone=job.backbone.name,
        augment=settings.augment,
        limit=settings.limit,
        seed=settings.seed,
    )


def report_run(  # noqa: PLR0917 (what a report is made of)
    job: Job,
    run: Run,
    card: ModelCard,
    summary: Mapping[str, Any],
    history: tuple[EpochFigures, ...],
    diagnosis: tuple[Diagnosis, ...],
    answers: Mapping[str, SplitAnswers],
    cross: CrossValidation | None = None,
) -> None:
    """Write report.html; with `cross` of a run whose folds stand for validation. Raises OutputError."""
    write_report(
        run,
        RunReport(
            card=card,
            history=history,
            best_epoch=summary["best_epoch"],
            best_by=summary["best_by"],
            optimism=summary.get("optimism", {}).get("text", ""),
            val=answers["val"] if cross is None else cross.pooled,
            test=answers.get("test"),
            counts={split: counted for split, counted in count_images(job).items() if counted or cross is None},
            settings=plain_settings(job.settings),
            data_root=job.store.root,
            diagnosis=diagnosis,
            seconds=summary["seconds"],
            parameters=summary["parameters"],
            parameters_trained=summary["parameters_trained"],
            git_revision=summary["git_revision"],
            cross=cross,
            pruning=summary.get("pruning"),
        ),
    )


def report_targets(  # noqa: PLR0917 (what a report is made of)
    job: Job,
    run: Run,
    card: ModelCard,
    summary: Mapping[str, Any],
    history: tuple[EpochFigures, ...],
    answers: Mapping[str, Answers],
    metrics: Mapping[str, Measured],
) -> None:
    """Write report.html of a run whose pictures may have several labels. Raises OutputError."""
    write_targets_report(
        run,
        TargetReport(
            card=card,
            history=history,
            best_epoch=summary["best_epoch"],
            best_by=summary["best_by"],
            answers=answers,
            metrics=metrics,
            counts={split: counted for split, counted in count_images(job).items() if counted},
            settings=plain_settings(job.settings),
            data_root=job.store.root,
            seconds=summary["seconds"],
            parameters=summary["parameters"],
            parameters_trained=summary["parameters_trained"],
            git_revision=summary["git_revision"],
        ),
    )
