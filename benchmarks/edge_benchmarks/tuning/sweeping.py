"""A sweep: trials drawn, trained by one engine or the other, measured on the device, and one recommended."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_benchmarks.report.files import make_folder
from edge_benchmarks.tuning.search_space import Trial, TuneSettings, draw_trials
from edge_benchmarks.tuning.sweep import Sweep, TrialRow, choose_trial, front, in_order
from edge_benchmarks.tuning.sweep_files import PICTURE, draw_sweep, write_table
from edge_benchmarks.tuning.sweep_folder import identify, sweep_folder, write_state
from edge_benchmarks.tuning.target_latency import (
    Latencies,
    Network,
    measure_latencies,
    planned_network,
    read_latencies,
    trained_network,
)
from edge_benchmarks.tuning.trial_run import TrialRecord, forget_lost, read_record, run_trial
from edge_data import find_data, read_split
from edge_runtime import CheckpointError, EdgeError, Progress, Run, Silence, as_kind, require_extra, scan
from edge_train import SweepPart, TrainSettings

EMBEDDINGS = "embeddings"


def tune(settings: TrainSettings, space: TuneSettings | None = None, progress: Progress | None = None) -> Sweep:
    """Train as many trials as `space` says, each drawn from it and otherwise as `settings` are, and recommend one.

    The runs are ordinary ones in `settings.out`, beside the sweep's own folder with tune.json, tune.csv and tune.png;
    its test images were looked at for the recommended run alone. A trial that fails is a row with its `reason`, and is
    tried again by the next call. The same call goes on with a sweep that was interrupted, shows one that is finished
    again, with another `bench` or `max_latency_ms` if need be, and adds to it where it asks for more trials.

    Raises:
        UsageError: settings, data or a report that no trial can use (exit 2).
        DataError: the images are not as they must be (exit 2).
        MissingExtraError: what trains, exports or runs the trials is not installed.
        OutputError: a folder cannot be written.
        EdgeError: no trial could be trained, or none is as fast as asked for.
    """
    space, progress = as_kind(space or TuneSettings(), TuneSettings, "`space`"), progress or Silence()
    as_kind(settings, TrainSettings, "`settings`")
    require_extra("export")
    from edge_train import check_out

    if space.engine == "ray":
        require_extra("tune")
    trials = draw_trials(space, settings)
    wanted = {planned_network(trial.settings) for trial in trials}
    given = None if space.bench is None else read_latencies(space.bench, wanted)
    if len(trials) < space.trials:
        progress.say(f"note: there are {len(trials)} different trials, not {space.trials}: the rates do not vary")
    source = find_data(settings.data)
    images = scan(
        source.places,
        label_from=settings.label_from,
        group_column=settings.group_by,
        multi_label=settings.multi_label,
        tasks=settings.tasks,
    )
    check_out(settings.out, source.places)
    if space.keep_models is not None:
        # Found out before hours go into training.
        make_folder(space.keep_models)
    identity = identify(space, settings, images.fingerprint)
    with sweep_folder(settings.out, source.name, identity) as (folder, known):
        if known:
            ended = sum(read_record(folder, trial.number).ended for trial in trials)
            progress.say(f"going on with {folder}: {ended} of {len(trials)} trials have ended")
        else:
            progress.say(f"sweep {folder}: {len(trials)} trials")
        try:
            _run_all(trials, space, folder, progress)
        except KeyboardInterrupt:
            progress.end()
            progress.say(f"{folder} keeps its trials; go on with the same command")
            raise
        rows = _rows(trials, folder)
        latencies = given or _measure(rows, space, folder, progress)
        sweep = _finish(folder, rows, latencies, space.max_latency_ms, progress)
        write_state(folder, identity, sweep.to_json())
        return sweep


def _run_all(trials: Sequence[Trial], space: TuneSettings, folder: Path, progress: Progress) -> None:
    """Run what is left of the trials. Raises the first failure where all failed."""
    forget_lost(trials, folder, progress)
    left = [trial for trial in trials if not read_record(folder, trial.number).ended]
    if space.engine == "ray" and left:
        from edge_benchmarks.tuning.ray_engine import run_with_ray

        run_with_ray(trials, space, folder, progress)
    else:
        part = SweepPart(embeddings=folder / EMBEDDINGS, spares_test=True)
        for trial in left:
            progress.say(f"trial {trial.number} of {len(trials)}: {trial.title}")
            run_trial(trial, folder, progress, part)
    records = [read_record(folder, trial.number) for trial in trials]
    if not any(record.ended for record in records):
        reasons = {record.error for record in records if record.error}
        raise EdgeError(f"no trial could be trained: {'; '.join(sorted(reasons))}"[:500], "")
    # They can be made again, and take more room than all that stays.
    shutil.rmtree(folder / EMBEDDINGS, ignore_errors=True)


def _rows(trials: Sequence[Trial], folder: Path) -> list[TrialRow]:
    rows = []
    for trial in trials:
        record = read_record(folder, trial.number)
        try:
            rows.append(_row(trial, record))
        except CheckpointError as error:
            rows.append(TrialRow(trial=trial, reason=error.message))
    return rows


def _row(trial: Trial, record: TrialRecord) -> TrialRow:
    if not record.ended or record.run is None:
        return TrialRow(trial=trial, reason=record.error or "not trained")
    from edge_train import read_row

    run = Run(trial.settings.out / record.run)
    size = run.read_config().get("card", {}).get("preprocessing", {})
    return TrialRow(
        trial=trial,
        figures=read_row(run),
        input_px=size.get("height"),
        epochs=len(record.values),
        stopped=record.stopped,
    )


def _measure(rows: Sequence[TrialRow], space: TuneSettings, folder: Path, progress: Progress) -> Latencies:
    runs: dict[Network, Run] = {}
    for row in rows:
        if (run := _run_of(row)) is not None:
            runs.setdefault(trained_network(run), run)
    return measure_latencies(runs, folder / "latency.json", progress, models=space.keep_models)


def _finish(
    folder: Path, rows: Sequence[TrialRow], latencies: Latencies, max_latency_ms: float | None, progress: Progress
) -> Sweep:
    """The table, the picture, and the recommended run, the test images of which are measured now."""
    rows = in_order([replace(row, latency_ms=_latency(row, latencies)) for row in rows])
    unknown = dict.fromkeys(
        str(trained_network(run)) for row in rows if row.latency_ms is None and (run := _run_of(row)) is not None
    )
    if unknown:
        progress.say(f"note: {latencies.source} has no latency of {', '.join(unknown)}")
    write_table(folder, rows)
    best, why = choose_trial(rows, max_latency_ms)
    best = _with_test(best, progress)
    rows = tuple(best if row.trial.number == best.trial.number else row for row in rows)
    sweep = Sweep(folder, rows, best, why, latencies.source)
    write_table(folder, rows)
    draw_sweep(folder / PICTURE, sweep, front(rows))
    return sweep


def _run_of(row: TrialRow) -> Run | None:
    return None if row.figures is None else row.figures.run


def _latency(row: TrialRow, latencies: Latencies) -> float | None:
    run = _run_of(row)
    return None if run is None else latencies.of(trained_network(run))


def _with_test(row: TrialRow, progress: Progress) -> TrialRow:
    """The row with its run's test figures, which are measured now where they were not before."""
    from edge_train import read_row, remeasure

    assert row.figures is not None and row.figures.run is not None
    run = row.figures.run
    has_test = bool(read_split(run.split, run.read_config()["card"]["labels"]).test)
    if has_test and row.figures.test_accuracy is None:
        progress.say(f"measuring trial {row.trial.number}, the recommended one, on test images")
        remeasure(run, progress)
    return replace(row, figures=read_row(run))
