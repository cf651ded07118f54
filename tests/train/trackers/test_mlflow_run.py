"""MLflow's own client finds in a local store what was trained."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
for package in ("mlflow", "sqlalchemy", "alembic"):
    pytest.importorskip(package)

from tracked_runs import train_in_two_halves  # noqa: E402


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_the_store_has_one_run_for_both_halves(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "flowers")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)
    result = train_in_two_halves(few_shapes, tmp_path, "mlflow")
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("flowers")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == result.run.name and run.info.status == "FINISHED"
    assert run.data.params["backbone"] == "shufflenet_v2_x0_5" and run.data.params["strategy"] == "scratch"
    for name in ("train_loss", "val_accuracy", "learning_rate"):
        assert [point.step for point in client.get_metric_history(run.info.run_id, name)] == [1, 2, 3]
    assert run.data.metrics["test/accuracy"] == result.summary["metrics"]["test"]["accuracy"]
    artifacts = {artifact.path: artifact.file_size for artifact in client.list_artifacts(run.info.run_id)}
    assert artifacts["report.html"] == (result.run.path / "report.html").stat().st_size and "confusion.png" in artifacts
