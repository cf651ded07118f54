"""TensorBoard's own reader finds in a run's folder what was trained."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("tensorboard")

from tracked_runs import train_in_two_halves


@pytest.mark.filterwarnings("ignore")
def test_the_event_files_have_curves_settings_and_the_outcome(few_shapes: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    result = train_in_two_halves(few_shapes, tmp_path, "tensorboard")
    found = EventAccumulator(str(result.run.path / "tensorboard"), size_guidance={"images": 0}).Reload()
    with result.run.metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for column in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
        points = found.Scalars(column)
        assert [point.step for point in points] == [1, 2, 3]
        assert [point.value for point in points] == pytest.approx([float(row[column]) for row in rows], abs=1e-5)
    assert [point.step for point in found.Scalars("learning_rate")] == [1, 2, 3]
    for split in ("val", "test"):
        assert found.Scalars(f"{split}/accuracy")[-1].value == pytest.approx(
            result.summary["metrics"][split]["accuracy"]
        )
    assert [image.step for image in found.Images("confusion")] == [2, 3]
    start = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    hparams = HParamsPluginData.FromString(start).session_start_info.hparams
    assert hparams["epochs"].number_value == 3 and hparams["strategy"].string_value == "scratch"
    assert hparams["track"].string_value == "tensorboard"
