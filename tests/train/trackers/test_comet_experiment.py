"""The archives that Comet keeps offline have what was trained."""

from __future__ import annotations

import json
import os
from pathlib import Path
from zipfile import ZipFile

import pytest

pytest.importorskip("torch")
pytest.importorskip("comet_ml")

from tracked_runs import train_in_two_halves


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_the_archives_are_of_one_experiment_in_two_halves(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMET_START_ONLINE", "0")
    monkeypatch.setenv("COMET_OFFLINE_DIRECTORY", str(tmp_path / "comet"))
    result = train_in_two_halves(few_shapes, tmp_path, "comet")
    (key,) = json.loads((result.run.path / "trackers.json").read_text()).values()
    halves = []
    for archive in sorted((tmp_path / "comet").glob(f"{key}*.zip"), key=lambda path: path.stat().st_mtime_ns):
        with ZipFile(archive) as files:
            assert json.loads(files.read("experiment.json"))["offline_id"] == key
            halves.append([json.loads(line) for line in files.read("messages.json").splitlines()])
    first, second = halves
    parameters = {
        message["payload"]["param"]["paramName"]: message["payload"]["param"]["paramValue"]
        for message in first
        if message["type"] == "parameter_msg"
    }
    assert parameters["epochs"] == 3 and parameters["strategy"] == "scratch"
    for half, epochs in ((first, [1, 2]), (second, [3])):
        metrics = [message["payload"]["metric"] for message in half if message["type"] == "metric_msg"]
        for name in ("train_loss", "val_accuracy", "learning_rate"):
            assert [metric["step"] for metric in metrics if metric["metricName"] == name] == epochs
    (accuracy,) = (metric["metricValue"] for metric in metrics if metric["metricName"] == "test/accuracy")
    assert accuracy == result.summary["metrics"]["test"]["accuracy"]
    uploads = [message["payload"]["additional_params"] for message in second if message["type"] == "file_upload"]
    assert {"report.html", "confusion"} <= {upload.get("fileName", upload.get("figName")) for upload in uploads}
    assert "COMET_DISABLE_AUTO_LOGGING" not in os.environ
