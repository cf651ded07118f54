"""A network that a user wrote goes all the way: trained, exported in both formats, asked, explained, resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import numpy as np

from edge_export import ExportSettings, export
from edge_runtime import Classifier, decode
from edge_train import Explainer, load_checkpoint, resume, train
from own_nets import write_nets
from quick_training import equal, quick_settings, weights


def test_a_network_of_ones_own_goes_all_the_way(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    spec = f"{write_nets(tmp_path)}:plain"
    result = train(quick_settings(shapes, tmp_path / "runs", backbone=spec, epochs=1))
    run = result.run
    assert run.name.startswith("shapes-nets.py-plain-scratch-")

    files = export(run, ("onnx", "torchscript"), settings=ExportSettings(with_embedding=False))
    assert all(file.parity.top1_agreement == 1 for file in files)
    model = Classifier(files[0].path)
    assert model.card.backbone == "nets.py:plain" and "network_file" not in model.card.architecture
    picture = next((shapes / "test").rglob("*.png"))
    answer = model.predict(picture)
    assert answer.label in model.labels

    pixels = model.preprocessing(decode(picture))
    explanation = Explainer(load_checkpoint(run.best))(pixels)
    assert explanation.label == answer.label and explanation.heat.shape == (8, 8)
    assert explanation.probability == pytest.approx(answer.probability, abs=1e-4)

    # From its weights, fine-tuned; killed before the summary was written.
    fine = {"strategy": "fine-tune", "weights": str(run.best), "freeze_until": "hidden"}
    tuned = train(quick_settings(shapes, tmp_path / "tuned", backbone=spec, **fine)).run
    whole = weights(tuned)
    kept = {name for name, value in weights(run, "best").items() if np.array_equal(value, whole[name])}
    assert {"backbone.first.weight", "backbone.scale.running_mean", "backbone.backbone.0.bias"} <= kept
    assert "backbone.hidden.weight" not in kept
    tuned.summary.unlink()
    resume(tuned)
    assert equal(weights(tuned), whole)
