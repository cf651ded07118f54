"""The trials of a sweep on Ray Tune: several at once, the worse ones stopped early by ASHA (Li et al. 2020).

Ray schedules, and begins again what a lost machine took with it. A trial's run and record are what it goes on from: it
tells Ray of the epochs that it had before it trains the next, so that a sweep needs nothing of what Ray kept.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from edge_batch import ray_cluster
from edge_benchmarks.tuning.search_space import Trial, TuneSettings
from edge_benchmarks.tuning.trial_run import end_stopped, read_record, run_trial, write_record
from edge_runtime import EdgeError, Progress, Silence, prepare_process
from edge_train import SweepPart

LOG = "ray.log"
# What a worker that is lost, with its machine or for want of memory, is begun again.
LOST = 2
# What of our environment the workers of another machine need, too.
HANDED_ON = ("EDGE_WEIGHTS_DIR", "EDGE_CACHE", "PYTHONPATH")


def run_with_ray(trials: Sequence[Trial], space: TuneSettings, folder: Path, progress: Progress) -> None:
    """Run the trials, those that have ended too, which tell Ray of their epochs alone; the records are what is left.

    Raises:
        UsageError: there is no such cluster.
        EdgeError: Ray gives up.
        OutputError: the folder cannot be written.
    """
    with ray_cluster(space.address, folder / LOG, "ray.tune", gpus=None, hands_on=HANDED_ON):
        import ray

        # A trial is of one machine.
        machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        threads = min(trials[0].settings.threads or 1, max(machines))
        gpus = 1 if ray.cluster_resources().get("GPU") and trials[0].settings.device in ("auto", "cuda") else 0
        own = [replace(trial, settings=replace(trial.settings, threads=threads)) for trial in trials]
        at_once = min(len(trials), sum(cores // threads for cores in machines))
        part = SweepPart(embeddings=folder.resolve() / "embeddings", spares_test=True, at_once=at_once)
        progress.say(
            f"Ray: {at_once} trials at once, {threads} thread{'s'[: threads != 1]} each; its log is {folder / LOG}"
        )
        progress.begin("trials", len(trials), "trials")
        errors = _fit(own, space, folder, part, threads, gpus, progress)
        progress.end()
    for trial in own:
        record = read_record(folder, trial.number)
        if record.ended or record.error is not None:
            continue
        if (error := errors.get(trial.number)) is not None:
            write_record(folder, trial, replace(record, error=error))
            progress.say(f"note: trial {trial.number} failed: {error}")
        elif record.run is not None:
            progress.say(f"measuring trial {trial.number}, stopped after epoch {len(record.values)}")
            end_stopped(trial, folder, progress, replace(part, at_once=1))


def _fit(  # noqa: PLR0917 (what a sweep is run with)
    trials: Sequence[Trial],
    space: TuneSettings,
    folder: Path,
    part: SweepPart,
    threads: int,
    gpus: int,
    progress: Progress,
) -> Mapping[int, str]:
    """Let Ray run them; why it gave up on a trial, by its number."""
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    # Where a trial ends by itself, it must not be stopped: it is measured then.
    longest = max(trial.settings.epochs for trial in trials) + 1
    scheduler = ASHAScheduler(
        time_attr="epoch",
        metric="value",
        mode="max",
        max_t=longest,
        grace_period=min(space.grace_epochs, longest),
        reduction_factor=space.reduction,
    )
    listener = _listener(trials, progress)
    storage = folder.resolve() / "ray"
    shutil.rmtree(storage, ignore_errors=True)
    tuner = tune.Tuner(
        tune.with_resources(
            partial(_train_one, trials=trials, folder=folder.resolve(), part=part, home=Path.cwd()),
            {"cpu": threads, "gpu": gpus},
        ),
        param_space={"place": tune.grid_search(list(range(len(trials))))},
        tune_config=tune.TuneConfig(scheduler=scheduler, reuse_actors=False),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=str(storage),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=LOST),
            callbacks=[listener],
        ),
    )
    try:
        tuner.fit()
    except (RuntimeError, OSError, tune.error.TuneError) as error:
        raise EdgeError(
            f"Ray ended the sweep: {_last_line(error)}", f"see {folder / LOG}; the same command goes on with it"
        ) from error
    shutil.rmtree(storage, ignore_errors=True)
    errors: Mapping[int, str] = listener.errors
    return errors


def _train_one(
    config: Mapping[str, Any], *, trials: Sequence[Trial], folder: Path, part: SweepPart, home: Path
) -> None:
    """One trial, in a process of Ray's."""
    prepare_process()
    # Relative paths are those of the command, where its folder is on this machine, too.
    with suppress(OSError):
        os.chdir(home)
    from ray import tune

    trial = trials[config["place"]]

    def report(epoch: int, value: float) -> None:
        tune.report({"epoch": epoch, "value": value})

    record = read_record(folder, trial.number)
    if not record.ended:
        with (folder / f"trial-{trial.number:03}.log").open("a", encoding="utf-8") as log:
            record = run_trial(trial, folder, _Written(log), part, report)
    else:
        for epoch, value in enumerate(record.values[:-1], start=1):
            report(epoch, value)
    if record.values:
        report(len(record.values), record.values[-1])


class _Written(Silence):
    """A Progress that keeps what is said in a file."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def say(self, text: str) -> None:
        """A line of the file."""
        self._file.write(f"{text}\n")
        self._file.flush()


def _listener(trials: Sequence[Trial], progress: Progress) -> Any:
    """What tells a person how the trials go."""
    from ray.tune import Callback

    class Listener(Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.errors: dict[int, str] = {}

        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Mapping[str, Any], **_: Any) -> None:
            del iteration, trials
            known = own[trial.config["place"]]
            progress.say(f"trial {known.number}: epoch {result['epoch']}/{known.settings.epochs} {result['value']:.4f}")

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            del iteration, trials, trial
            progress.advance()

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            del iteration, trials
            error = trial.get_pickled_error() or trial.get_error()
            said = "no reason is known" if error is None else _last_line(error)
            self.errors[own[trial.config["place"]].number] = f"Ray lost it {LOST + 1} times: {said}"
            progress.advance()

    own = trials
    return Listener()


def _last_line(error: BaseException) -> str:
    """The last line of what an error says, which is the one that a person needs of a trace."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else type(error).__name__
