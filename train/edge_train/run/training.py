"""One training run from settings to a finished run folder."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_runtime import Progress, Run, Silence, UsageError, as_kind, find_run, require_extra
from edge_train.network.device_memory import within_memory
from edge_train.run.borrowed_torch import borrow_torch
from edge_train.run.callbacks import ActiveRun, Callback
from edge_train.run.epochs import fit, read_state, steps_an_epoch
from edge_train.run.finish import finish
from edge_train.run.interruption import interruptible
from edge_train.run.job import Job
from edge_train.run.prepare import prepare, prepare_afresh, prepare_again
from edge_train.run.processes import doubt_of_restarts, with_others
from edge_train.run.run_folder import create_run, write_metrics
from edge_train.run.sweep_part import WHOLE, SweepPart
from edge_train.run.time_taken import seconds_taken
from edge_train.run.torchrun_job import find_begun, job_id
from edge_train.run.train_result import TrainResult
from edge_train.settings import TrainSettings
from edge_train.several_runs.cross_validating import cross_validate, cross_validate_again
from edge_train.trackers.tracking import listen, require_trackers


@borrow_torch()
@with_others()
def train(
    settings: TrainSettings,
    progress: Progress | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    part: SweepPart = WHOLE,
) -> TrainResult:
    """Train as `settings` say and leave a run folder with best.pt, last.pt and their records.

    With `folds` that is the run which trained on everything, the folds' being inside its folder. `progress` draws what
    takes time, `callbacks` hear how the run goes and may stop it. `part` is for a run that is one of several.
    Under torchrun each process calls it; they train together, and the first one writes. Where torchrun starts them
    again, they go on with the run that they had begun, if the job has a name (`--rdzv-id`). Torch's threads and random
    numbers are the caller's again when it returns; `edge_runtime.prepare_process` makes it as fast as the command.

    Raises:
        DataError: the data folder is not as it must be, or has unreadable images (exit 2).
        UsageError: settings that do not go together (exit 2).
        WeightsError: pretrained weights asked for by name cannot be had.
        OutputError: the run folder cannot be written.
        MissingExtraError: there is nothing to draw the report with, or a tracker asked for is not installed.
    """
    started = time.perf_counter()
    as_kind(settings, TrainSettings, "`settings`")
    # The report is drawn at the end of what may take hours.
    require_extra("train")
    require_trackers(settings.track)
    progress = progress or Silence()
    if settings.folds is not None:
        return cross_validate(settings, progress, callbacks, started)
    if (begun := find_begun(settings)) is not None:
        return resume(begun, progress, callbacks=callbacks, part=part)
    job = prepare(settings, progress, part=part)
    listen(job, callbacks)
    if doubt := doubt_of_restarts():
        job.progress.say(f"note: {doubt}")
    more: dict[str, Any] = {"precision": job.precision, **({"torchrun": name} if (name := job_id()) else {})}
    more |= {} if job.pruning is None else {"pruning": job.pruning}
    run = job.world.lead(
        lambda: create_run(job.settings, job.card, job.splits, data_root=job.store.root, places=job.places, more=more)
    )
    job.progress.say(f"run {run.path}")
    return _run(job, run, None, started)


@borrow_torch()
@with_others()
def resume(
    run: Run | str | Path,
    progress: Progress | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    part: SweepPart = WHOLE,
) -> TrainResult:
    """Go on with a run that was interrupted or stopped, as if it never had been.

    On the CPU, with the same threads, the weights it ends with are bit for bit those of a run left alone. A run
    that ended before its first epoch was kept begins again.

    Raises:
        UsageError: it is no run, or a fold of a cross-validation, which is resumed as a whole.
        CheckpointError: its last.pt or, before the first epoch, its config.json is damaged.
        DataError: the run's images are gone or changed.
    """
    started = time.perf_counter()
    require_extra("train")
    progress, run = progress or Silence(), find_run(run)
    config = run.read_config()
    if "fold" in config:
        whole = run.path.parent
        raise UsageError(f"{run.path} is a fold of {whole}", f"resume them together: edge train --resume {whole}")
    if config.get("settings", {}).get("folds") is not None:
        return cross_validate_again(run, progress, callbacks, started)
    # metrics.csv is written last: where it is, last.pt was there, too.
    if not run.last.is_file() and not run.metrics.is_file():
        job = prepare_afresh(run, progress, part)
        listen(job, callbacks)
        job.progress.say(f"beginning {run.path} again: it ended before its first epoch was kept")
        return _run(job, run, None, started)
    job, last = prepare_again(run, progress, part)
    listen(job, callbacks)
    job.progress.say(f"resuming {run.path} after epoch {last.epoch} of {job.settings.epochs}")
    return _run(job, run, last.training, started - seconds_taken(run))


@borrow_torch()
def remeasure(run: Run | str | Path, progress: Progress | None = None, *, part: SweepPart = WHOLE) -> TrainResult:
    """Calibrate, measure and report the best epoch of a run again, or for the first time; no epoch is trained.

    The run's trackers hear what it came to, as after its last epoch.

    For the run that a sweep chose, which spared the test images, and for one whose training was stopped from outside.

    Raises:
        UsageError: it is no run.
        CheckpointError: its last.pt is missing or damaged.
        DataError: the run's images are gone or changed.
    """
    require_extra("train")
    started, run = time.perf_counter(), find_run(run)
    job, last = prepare_again(run, progress or Silence(), part)
    state, taken = read_state(last.training), seconds_taken(run)
    # A kill may have come between it and last.pt.
    if job.world.leads:
        write_metrics(run, state.history)
    listen(job, ())
    steps = state.epoch * steps_an_epoch(job, state.views)
    job.listeners.start(ActiveRun(run, job.settings, job.card, state.epoch, steps))
    try:
        with within_memory():
            result = finish(job, run, state, started - taken)
        job.listeners.end(result)
        return result
    finally:
        job.listeners.end(None)


def _run(job: Job, run: Run, saved: Mapping[str, Any] | None, started: float) -> TrainResult:
    with interruptible(job, run, kept=run.last.is_file):
        result = finish(job, run, fit(job, run, saved), started)
        job.listeners.end(result)
        return result
