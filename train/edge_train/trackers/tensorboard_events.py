"""TensorBoard: event files in the run's folder, which tensorboard --logdir runs shows side by side."""

from __future__ import annotations

from typing import Any

from edge_train.run.callbacks import ActiveRun, Callback, EpochEnd
from edge_train.run.train_result import TrainResult
from edge_train.trackers.tracked import draw_confusions, final_figures, plain_parameters


class TensorBoardTracker(Callback):
    """Scalars by epoch, the settings with the final figures (the tab HParams), and the confusion matrix as an image."""

    _writer: Any

    def on_start(self, run: ActiveRun) -> None:
        """Open event files of the run's own; what an older process wrote of later epochs is not shown any more."""
        from torch.utils.tensorboard import SummaryWriter

        writer: Any = SummaryWriter
        after = run.epochs_done + 1 if run.epochs_done else None
        self._writer = writer(str(run.run.path / "tensorboard"), purge_step=after)
        self._parameters = plain_parameters(run)

    def on_epoch(self, epoch: EpochEnd) -> None:
        """A point of each curve, on the disk before the next epoch."""
        for name, value in {**epoch.figures, "learning_rate": epoch.learning_rate}.items():
            self._writer.add_scalar(name, value, epoch.epoch)
        self._writer.flush()

    def on_end(self, result: TrainResult | None) -> None:
        """What the run came to."""
        if result is not None:
            figures = final_figures(result)
            self._writer.add_hparams(self._parameters, figures, run_name=".")
            epochs = result.summary["epochs"]
            for name, pixels in draw_confusions(result).items():
                self._writer.add_image(name, pixels, epochs, dataformats="HWC")
        self._writer.close()
