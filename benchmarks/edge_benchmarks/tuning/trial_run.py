"""One trial of a sweep, as often interrupted as may be: its record, its run, and how it goes on."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_benchmarks.tuning.search_space import Trial
from edge_runtime import EdgeError, OutputError, Progress, Run, one_line, write_json, write_text

if TYPE_CHECKING:
    from edge_train import ActiveRun, Callback, SweepPart

# Number of the epoch, and the figure it is chosen by.
OnEpoch = Callable[[int, float], None]
WORST = -1e9


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """How far a trial has come: its run's name, once it has one, and the figure of each epoch, greater for the better.

    `ended`: it was measured, `stopped` before its last epoch; `error` is why it failed.
    """

    run: str | None = None
    values: tuple[float, ...] = ()
    ended: bool = False
    stopped: bool = False
    error: str | None = None


def read_record(folder: Path, number: int) -> TrialRecord:
    """The record of a trial in the folder of its sweep; an empty one where there is none that can be read."""
    try:
        value = json.loads(_path(folder, number).read_text(encoding="utf-8"))
        known = {name: value[name] for name in TrialRecord.__slots__}
        return TrialRecord(**{**known, "values": tuple(map(float, known["values"]))})
    except (OSError, ValueError, KeyError, TypeError):
        return TrialRecord()


def forget_lost(trials: Sequence[Trial], folder: Path, progress: Progress) -> None:
    """Have those trials trained again that have ended and whose runs are not there any more. Raises OutputError."""
    for trial in trials:
        record = read_record(folder, trial.number)
        if record.ended and not (record.run and (trial.settings.out / record.run).is_dir()):
            progress.say(f"note: the run of trial {trial.number}, {record.run}, is gone; it is trained again")
            write_record(folder, trial, TrialRecord())


def write_record(folder: Path, trial: Trial, record: TrialRecord) -> None:
    """Keep a trial's record. Raises OutputError."""
    write_json(_path(folder, trial.number), {"trial": trial.number, "drawn": trial.drawn, **asdict(record)})


def run_trial(
    trial: Trial, folder: Path, progress: Progress, part: SweepPart, on_epoch: OnEpoch | None = None
) -> TrialRecord:
    """Train a trial, or what is left of it, and keep in `folder` how far it came; what it fails by, too.

    `on_epoch` hears of the epochs that it had before, and then of each new one but the last.

    Raises:
        OutputError: nothing can be written any more, which no other trial would survive either.
    """
    from edge_train import resume, train

    record = read_record(folder, trial.number)
    if record.ended:
        return record
    if record.error is not None:
        record = TrialRecord()
    keeping = _keeping(trial, folder, record, on_epoch)
    run = None if record.run is None else Run(trial.settings.out / record.run)
    try:
        if run is not None and run.config.is_file():
            resume(run, progress, callbacks=[keeping], part=part)
        else:
            train(trial.settings, progress, callbacks=[keeping], part=part)
    except OutputError:
        raise
    except Exception as error:
        found = _failed(trial, folder, progress, error)
    else:
        found = replace(read_record(folder, trial.number), ended=True)
    write_record(folder, trial, found)
    return found


def end_stopped(trial: Trial, folder: Path, progress: Progress, part: SweepPart) -> TrialRecord:
    """Measure the run of a trial whose training was stopped from outside, and keep that it was; or what it fails by.

    Raises OutputError as `run_trial` does.
    """
    from edge_train import remeasure

    record = read_record(folder, trial.number)
    assert record.run is not None
    try:
        remeasure(Run(trial.settings.out / record.run), progress, part=part)
    except OutputError:
        raise
    except Exception as error:
        found = _failed(trial, folder, progress, error)
    else:
        found = replace(record, ended=True, stopped=len(record.values) < trial.settings.epochs)
    write_record(folder, trial, found)
    return found


def _failed(trial: Trial, folder: Path, progress: Progress, error: Exception) -> TrialRecord:
    """Say why a trial failed; its record with that, yet to be written."""
    progress.end()
    text = error.message if isinstance(error, EdgeError) else f"{type(error).__name__}: {error}"
    found = replace(read_record(folder, trial.number), error=one_line(text))
    progress.say(f"note: trial {trial.number} failed: {found.error}")
    if not isinstance(error, EdgeError):
        # What nobody foresaw is to be understood later.
        trace = "".join(traceback.format_exception(error))
        write_text(folder / f"trial-{trial.number:03}.traceback.txt", trace)
    return found


def _keeping(trial: Trial, folder: Path, record: TrialRecord, on_epoch: OnEpoch | None) -> Callback:
    """What writes down the run's name when it has one, and the figure of each of its epochs."""
    from edge_train import Callback, EpochEnd

    class Keeping(Callback):
        values: tuple[float, ...] = record.values
        run: str | None = record.run

        def on_start(self, run: ActiveRun) -> None:
            self.run, self.values = run.run.name, self.values[: run.epochs_done]
            write_record(folder, trial, TrialRecord(self.run, self.values))
            for number, value in enumerate(self.values, start=1):
                self.tell(number, value)

        def on_epoch(self, epoch: EpochEnd) -> None:
            # JSON has no infinity.
            self.values = (*self.values, max(epoch.value, WORST))
            write_record(folder, trial, TrialRecord(self.run, self.values))
            self.tell(epoch.epoch, self.values[-1])

        def tell(self, number: int, value: float) -> None:
            # After the last one it is measured, which nothing may stop.
            if on_epoch is not None and number < trial.settings.epochs:
                on_epoch(number, value)

    return Keeping()


def _path(folder: Path, number: int) -> Path:
    return folder / f"trial-{number:03}.json"
