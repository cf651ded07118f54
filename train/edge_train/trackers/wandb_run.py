"""Weights & Biases: a run as its WANDB_ variables say, with WANDB_MODE=offline in files to be synced later."""

from __future__ import annotations

import os
from typing import Any

from edge_train.run.callbacks import ActiveRun, Callback, EpochEnd
from edge_train.run.train_result import TrainResult
from edge_train.trackers.tracked import (
    draw_confusions,
    final_figures,
    keep_identity,
    plain_parameters,
    read_identity,
    run_name,
)


class WandbTracker(Callback):
    """Config, metrics by epoch, the final ones as the run's summary, report.html as a file, the confusion matrix."""

    _run: Any

    def on_start(self, run: ActiveRun) -> None:
        """Begin a run in the project WANDB_PROJECT, `edge` by default, or go on with the one there is."""
        import wandb

        known = read_identity(run.run, "wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "edge"),
            name=run_name(run),
            id=known,
            resume="allow" if known else None,
            config=plain_parameters(run),
            # Beside what the run leaves else, rather than wherever the command was started.
            dir=os.environ.get("WANDB_DIR", str(run.run.path)),
            # A run of the program's own goes on; what is printed stays the program's.
            reinit="create_new",
            settings=wandb.Settings(console="off"),
        )
        keep_identity(run.run, "wandb", self._run.id)

    def on_epoch(self, epoch: EpochEnd) -> None:
        """A point of each curve."""
        self._run.log({**epoch.figures, "learning_rate": epoch.learning_rate}, step=epoch.epoch)

    def on_end(self, result: TrainResult | None) -> None:
        """What the run came to, and that it is over."""
        import wandb

        if result is not None:
            self._run.summary.update(final_figures(result))
            for name, pixels in draw_confusions(result).items():
                self._run.summary[name] = wandb.Image(pixels)
            if (report := result.run.path / "report.html").is_file():
                self._run.save(str(report), base_path=str(report.parent), policy="now")
        self._run.finish(exit_code=1 if result is None else 0)
