"""A network that a user wrote goes all the way: trained, exported in both formats, asked, explained, resumed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import numpy as np
import torch

from edge_export import ExportSettings, export, write_onnx
from edge_runtime import Classifier, ModelCard, ModelError, Preprocessing, Run, decode
from edge_train import Explainer, average, load_checkpoint, resume, save_checkpoint, train
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


def test_several_runs_of_a_network_of_ones_own_become_one(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    spec = f"{write_nets(tmp_path)}:plain"

    def trained(name: str, **others: object) -> Run:
        return train(quick_settings(shapes, tmp_path / name, backbone=spec, **others)).run

    folded = trained("folded", epochs=1, folds=2)
    cross = load_checkpoint(folded.best).card.metrics["cross-validated"]
    assert cross["n"] == sum(len(list((shapes / split).rglob("*.png"))) for split in ("train", "val"))
    # int8 has no images that none of the folds learned from: its cost is told on those, and the figures are fp32's.
    (small,) = export(folded, ("onnx",), settings=ExportSettings(precision="int8", max_drop_points=20))
    card = Classifier(small.path).card
    assert card.metrics["cross-validated"] == cross | {"measured_in": "fp32"}
    assert (
        card.quantization["accuracy_measured_on"] == "training images" and card.quantization["int8"]["n"] == cross["n"]
    )
    run = trained("teacher", best_by="loss")
    pupil = trained("pupil", epochs=1, teacher=str(run.path))
    (file,) = export((run, pupil), ("onnx",), settings=ExportSettings(with_embedding=False))
    assert file.parity.top1_agreement == 1 and len(Classifier(file.path).card.members) == 2
    # Where things lie on this machine is nobody's business.
    assert str(tmp_path) not in file.card.dumps()

    # Two that lost their heads, one in each direction: their average is the run before.
    pair = []
    for sign in (-1, 1):
        made = Run(Path(shutil.copytree(run.path, tmp_path / f"off{sign}")))
        best = load_checkpoint(run.best)
        noise = torch.randn(best.network["backbone.out.weight"].shape, generator=torch.Generator().manual_seed(0))
        off = dict(best.network) | {"backbone.out.weight": best.network["backbone.out.weight"] + sign * 30 * noise}
        save_checkpoint(made.best, replace(best, network=off))
        pair.append(made)
    averaged = average(pair, out=tmp_path / "averaged", threads=1)
    torch.testing.assert_close(
        weights(averaged.run, "best")["backbone.out.weight"], weights(run, "best")["backbone.out.weight"]
    )
    (small,) = export(averaged.run, ("onnx",), settings=ExportSettings(precision="int8", with_embedding=False))
    assert Classifier(small.path).card.precision == "int8"


def test_a_network_that_torch_cannot_export_is_one_line(tmp_path: Path) -> None:
    class Branching(torch.nn.Linear):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            means = images.float().mean((1, 2))
            return super().forward(means * 2 if means.max() > 1 else means)

    contract = Preprocessing(resize_px=8, height_px=8, width_px=8, interpolation="bilinear")
    card = ModelCard(labels=("a", "b"), preprocessing=contract, backbone="own.py:Branching", strategy="scratch")
    with pytest.raises(ModelError, match=r"cannot make ONNX of own\.py:Branching: \w+") as caught:
        write_onnx(Branching(3, 2), card, tmp_path / "model.onnx")
    assert "\n" not in caught.value.message and "may not branch" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_network_that_fixes_its_batch_is_one_line_that_says_so(tmp_path: Path) -> None:
    class Counting(torch.nn.Linear):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images.float().reshape(len(images), 8 * 8, 3).mean(1))

    contract = Preprocessing(resize_px=8, height_px=8, width_px=8, interpolation="bilinear")
    card = ModelCard(labels=("a", "b"), preprocessing=contract, backbone="own.py:Counting", strategy="scratch")
    with pytest.raises(ModelError, match=r"own\.py:Counting for any number of images") as caught:
        write_onnx(Counting(3, 2), card, tmp_path / "model.onnx")
    assert "images.shape[0]" in caught.value.hint and not list(tmp_path.iterdir())
