"""MLflow: a run in the store that MLFLOW_TRACKING_URI names, or in MLflow's own default."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from mlflow import MlflowClient


class MlflowTracker(Callback):
    """Parameters, metrics by epoch and of the end, report.html and the confusion matrix as artifacts.

    By MLflow's client alone: the active run of a program that uses MLflow itself stays what it is.
    """

    _client: MlflowClient
    _id: str

    def on_start(self, run: ActiveRun) -> None:
        """Begin a run in the experiment MLFLOW_EXPERIMENT_NAME, `edge` by default, or go on with the one there is."""
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self._client = MlflowClient()
        known = read_identity(run.run, "mlflow")
        if known is not None:
            self._id = known
            self._client.update_run(known, status="RUNNING")
            return
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "edge")
        there = self._client.get_experiment_by_name(name)
        experiment = there.experiment_id if there is not None else self._client.create_experiment(name)
        self._id = self._client.create_run(experiment, run_name=run_name(run)).info.run_id
        keep_identity(run.run, "mlflow", self._id)
        parameters = plain_parameters(run).items()
        self._client.log_batch(self._id, params=[Param(key, str(value)) for key, value in parameters])

    def on_epoch(self, epoch: EpochEnd) -> None:
        """A point of each curve."""
        self._log({**epoch.figures, "learning_rate": epoch.learning_rate}, epoch.epoch)

    def on_end(self, result: TrainResult | None) -> None:
        """What the run came to, and that it is over."""
        if result is not None:
            self._log(final_figures(result), result.summary["epochs"])
            for name, pixels in draw_confusions(result).items():
                self._client.log_image(self._id, pixels, f"{name}.png")
            if (report := result.run.path / "report.html").is_file():
                self._client.log_artifact(self._id, str(report))
        self._client.set_terminated(self._id, "KILLED" if result is None else "FINISHED")

    def _log(self, figures: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        self._client.log_batch(self._id, metrics=[Metric(name, value, now_ms, step) for name, value in figures.items()])
