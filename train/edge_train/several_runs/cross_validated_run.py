"""The end of a cross-validation: the network trained on everything, with the figures that the folds gave it."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

from edge_runtime import CROSS_VALIDATED, MIN_SENSITIVITY, Run
from edge_train.network.checkpoint import load_checkpoint, save_checkpoint
from edge_train.network.fold_batch_norm import fold as fold_batch_norm
from edge_train.report.diagnosis import EpochFigures
from edge_train.run.epochs import FitState
from edge_train.run.finish import diagnose_run, report_run, summarize
from edge_train.run.job import Job
from edge_train.run.run_folder import finish_run
from edge_train.run.split_answers import SplitAnswers
from edge_train.run.threshold import note_threshold, with_threshold
from edge_train.run.train_result import TrainResult
from edge_train.several_runs.cross_validation import CrossValidation


def finish_cross_validated(job: Job, run: Run, state: FitState, cross: CrossValidation, started: float) -> TrainResult:
    """Write best.pt with the cross-validated card, report.html and, last of all, summary.json.

    `state` is that of the run on everything; what it is measured on is the test split, where there is one.
    `started` is when the work began, in seconds of `time.perf_counter`.
    """
    labels = job.card.labels
    best = load_checkpoint(run.best)
    answers = {CROSS_VALIDATED: cross.pooled}
    metrics = {CROSS_VALIDATED: cross.measure(labels)}
    if job.splits.test:
        job.network.load_state_dict(dict(best.network))
        tested = job.answers(job.splits.test, "measuring test", network=fold_batch_norm(job.network))
        assert isinstance(tested, SplitAnswers), "pictures of one label alone are cross-validated"
        answers["test"] = tested
        metrics["test"] = answers["test"].measure(labels, cross.temperature)
    figures = {name: found.on_card() for name, found in metrics.items()}
    figures[CROSS_VALIDATED] = cross.on_card(metrics[CROSS_VALIDATED])
    card = replace(best.card, temperature=cross.temperature, metrics=figures)
    if (positive := job.settings.positive) is not None:
        card = with_threshold(card, positive, job.settings.min_sensitivity or MIN_SENSITIVITY, answers)
    save_checkpoint(run.best, replace(best, card=card))
    history = mean_history(cross)
    diagnosis = diagnose_run(job, history, metrics[CROSS_VALIDATED])
    summary = summarize(job, run, state, metrics, cross.temperature)
    note_threshold(summary, card)
    summary |= {
        "best_by": cross.folds[0].state.criterion,
        "cross_validation": cross.to_json(),
        "seconds": time.perf_counter() - started,
        "diagnosis": [{"kind": d.kind, "text": d.text, "flag": d.flag} for d in diagnosis],
    }
    report_run(job, run, card, summary, history, diagnosis, answers, cross)
    finish_run(run, summary)
    return TrainResult(run, card, summary, diagnosis, job.splits, job.store.root, history, answers)


def mean_history(cross: CrossValidation) -> tuple[EpochFigures, ...]:
    """The folds' epochs as one: the mean of each figure, as far as all of them went."""
    states = [fold.state for fold in cross.folds]
    mean = statistics.fmean
    rows = []
    for at in range(min(state.epoch for state in states)):
        these = [state.history[at] for state in states]
        values = [row.value(state.criterion) for row, state in zip(these, states, strict=True)]
        chosen = [value for value in values if value is not None]
        rows.append(
            EpochFigures(
                at + 1,
                mean(row.train.loss for row in these),
                mean(row.train.accuracy for row in these),
                mean(row.val_loss for row in these),
                mean(row.val_accuracy for row in these),
                mean(row.train.seconds for row in these),
                mean(chosen) if chosen else None,
            )
        )
    return tuple(rows)
