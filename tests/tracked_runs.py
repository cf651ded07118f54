"""A run that a tracker hears of, stopped after its second epoch of three, and resumed."""

from __future__ import annotations

from pathlib import Path

from edge_train import ActiveRun, Callback, EpochEnd, TrainResult, resume, train
from quick_training import Ear, quick_settings

__all__ = ["train_in_two_halves"]


class _StopsAtTwo(Callback):
    def on_start(self, run: ActiveRun) -> None:
        self.run = run

    def on_epoch(self, epoch: EpochEnd) -> None:
        if epoch.epoch == 2:
            self.run.stop()


def train_in_two_halves(data: Path, out: Path, tracker: str) -> TrainResult:
    """What the second half came to."""
    ear = Ear()
    stopped = train(quick_settings(data, out, epochs=3, track=tracker), ear, callbacks=[_StopsAtTwo()])
    result = resume(stopped.run, ear)
    assert result.summary["epochs"] == 3 and not [line for line in ear.lines if "warning" in line]
    return result
