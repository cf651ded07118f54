"""What a caller hears of a run while it goes on, and how it stops one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from edge_runtime import ModelCard, Run
from edge_train.run.run_folder import plain_settings
from edge_train.run.step import BatchEnd
from edge_train.run.train_result import TrainResult
from edge_train.settings import TrainSettings


@dataclass(frozen=True, slots=True, eq=False)
class ActiveRun:
    """A run that goes on: its folder, its settings as resolved, and the card its checkpoints have so far.

    `epochs_done` are those it had before, 0 unless it is resumed; `steps` is how many it takes from its beginning.
    """

    run: Run
    settings: TrainSettings
    card: ModelCard
    epochs_done: int
    steps: int
    _stop: Event = field(default_factory=Event, repr=False)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The settings as config.json has them, with the strategy that `auto` came to; plain data."""
        return {**plain_settings(self.settings), "strategy": self.card.strategy}

    def stop(self) -> None:
        """End the run after the epoch that is going on, or else the next; any thread may ask for it.

        It ends whole, as by early stopping: the best epoch is calibrated, measured and reported. `resume` goes on with
        it and ends with the weights of a run that nobody stopped.
        """
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """An epoch that is over, and kept: its number from 1, and whether it is the best so far.

    `learning_rate` is that of its last step, the highest of all layers'; `figures` has what metrics.csv has, by its
    columns: losses in nats, accuracies in 0..1; what was not measured is not in it. `value` is the figure that the best
    epoch is chosen by, greater for the better (a loss with its sign turned), -inf where nothing was measured.
    """

    epoch: int
    best: bool
    learning_rate: float
    figures: Mapping[str, float]
    value: float = -math.inf


class Callback:
    """What `train`, `resume` and `compare` call while a run goes on. Subclass it and override what you want to hear.

    Training waits for it: it is called in the thread that trains, under torchrun in the first process alone. An
    exception it raises ends the run as an interruption does: its epochs are kept, and `resume` goes on. With `folds`,
    and in `compare`, each run is told of by itself, one after the other, each from `on_start` to `on_end`. A fold that
    was stopped stays as it is when the whole is resumed.
    """

    def on_start(self, run: ActiveRun) -> None:
        """The run has its folder, and all that could be refused was checked."""

    def on_batch(self, batch: BatchEnd) -> None:
        """A step was taken."""

    def on_epoch(self, epoch: EpochEnd) -> None:
        """An epoch is over and its checkpoint is written."""

    def on_end(self, result: TrainResult | None) -> None:
        """The run is over, all its files written; None where it was interrupted or failed.

        A fold of a cross-validation has no report.html and no diagnosis.
        """


class Listeners:
    """The callbacks of the runs of one call, of which one run goes on at a time."""

    def __init__(self, callbacks: Sequence[Callback] = ()) -> None:
        self._callbacks = tuple(callbacks)
        self._hearing: list[Callback] = []
        self._run: ActiveRun | None = None

    @property
    def stopping(self) -> bool:
        """Whether the run that goes on was asked to stop."""
        return self._run is not None and self._run.stopping

    def start(self, run: ActiveRun) -> None:
        """A run begins, or goes on."""
        self._run = run
        for callback in self._callbacks:
            self._hearing.append(callback)
            callback.on_start(run)

    def batch(self, batch: BatchEnd) -> None:
        """A step was taken."""
        for callback in self._hearing:
            callback.on_batch(batch)

    def epoch(self, epoch: EpochEnd) -> None:
        """An epoch is over."""
        for callback in self._hearing:
            callback.on_epoch(epoch)

    def end(self, result: TrainResult | None) -> None:
        """The run is over: told to all that heard of its start, once, also where one of them fails."""
        with ExitStack() as each:
            while self._hearing:
                each.callback(self._hearing.pop().on_end, result)
        self._run = None


SILENT = Listeners()
