"""Comet: an experiment as its COMET_ variables say, with COMET_START_ONLINE=0 in an archive to be uploaded later."""

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


class CometTracker(Callback):
    """Parameters, metrics by epoch and of the end, report.html as an asset, the confusion matrix as an image."""

    _experiment: Any

    def on_start(self, run: ActiveRun) -> None:
        """Begin an experiment in the project COMET_PROJECT_NAME, `edge` by default, or go on with the one there is."""
        comet_ml = _import_comet()
        known = read_identity(run.run, "comet")
        self._experiment = comet_ml.start(
            project_name=os.environ.get("COMET_PROJECT_NAME", "edge"),
            experiment_key=known,
            mode="get" if known else "create",
            experiment_config=comet_ml.ExperimentConfig(
                name=run_name(run),
                log_code=False,
                log_graph=False,
                log_git_patch=False,
                log_env_host=False,
                parse_args=False,
                auto_output_logging=False,
                auto_param_logging=False,
                auto_metric_logging=False,
                display_summary_level=0,
            ),
        )
        keep_identity(run.run, "comet", self._experiment.get_key())
        if known is None:
            self._experiment.log_parameters(plain_parameters(run))

    def on_epoch(self, epoch: EpochEnd) -> None:
        """A point of each curve."""
        figures = {**epoch.figures, "learning_rate": epoch.learning_rate}
        self._experiment.log_metrics(figures, step=epoch.epoch, epoch=epoch.epoch)

    def on_end(self, result: TrainResult | None) -> None:
        """What the run came to, and that it is over."""
        if result is not None:
            self._experiment.log_metrics(final_figures(result), step=result.summary["epochs"])
            for name, pixels in draw_confusions(result).items():
                self._experiment.log_image(pixels, name=name)
            if (report := result.run.path / "report.html").is_file():
                self._experiment.log_asset(str(report), file_name=report.name)
        self._experiment.end()


def _import_comet() -> Any:
    """The library, which patches every framework as it is imported, and complains where torch is there: not here."""
    name = "COMET_DISABLE_AUTO_LOGGING"
    before = os.environ.get(name)
    os.environ.setdefault(name, "1")
    try:
        import comet_ml
    finally:
        if before is None:
            del os.environ[name]
    return comet_ml
