"""The trackers that a run's settings name, as callbacks; one that fails is left out, and the run goes on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from edge_runtime import MissingExtraError, require_extra
from edge_train.run.callbacks import ActiveRun, Callback, EpochEnd, Listeners
from edge_train.run.job import Job
from edge_train.run.train_result import TrainResult
from edge_train.trackers.comet_experiment import CometTracker
from edge_train.trackers.mlflow_run import MlflowTracker
from edge_train.trackers.tensorboard_events import TensorBoardTracker
from edge_train.trackers.wandb_run import WandbTracker

TRACKERS: dict[str, Callable[[], Callback]] = {
    "tensorboard": TensorBoardTracker,
    "mlflow": MlflowTracker,
    "wandb": WandbTracker,
    "comet": CometTracker,
}


class GuardedTracker(Callback):
    """A tracker whose failure costs the run nothing but one line, which `say` is given; it hears no more then.

    What its library warns of is not for those who train: it is not shown.
    """

    def __init__(self, name: str, tracker: Callback, say: Callable[[str], object]) -> None:
        self._name, self._tracker, self._say = name, tracker, say
        self._failed = False

    def on_start(self, run: ActiveRun) -> None:
        """Told on."""
        self._tell(self._tracker.on_start, run)

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Told on."""
        self._tell(self._tracker.on_epoch, epoch)

    def on_end(self, result: TrainResult | None) -> None:
        """Told on."""
        self._tell(self._tracker.on_end, result)

    def _tell(self, hear: Callable[[Any], None], what: object) -> None:
        if self._failed:
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                hear(what)
        except Exception as error:
            self._failed = True
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            self._say(f"warning: {self._name} failed and hears no more of this run, which goes on: {reason}")


def require_trackers(names: Iterable[str]) -> None:
    """Raise MissingExtraError where a tracker's library is not installed."""
    for name in names:
        require_extra(name)


def listen(job: Job, callbacks: Sequence[Callback]) -> None:
    """Have `callbacks`, and the trackers of the job's settings, hear of its runs; of several processes in the first.

    A tracker that is not installed, on the machine on which a run is resumed, is left out with a note.
    """
    if not job.world.leads:
        return
    trackers = []
    for name in job.settings.track:
        try:
            require_extra(name)
        except MissingExtraError as error:
            job.progress.say(f"note: no longer tracked by {name}: {error}")
        else:
            trackers.append(GuardedTracker(name, TRACKERS[name](), job.progress.say))
    job.listeners = Listeners((*callbacks, *trackers))
