"""A file that averages views answers as the runtime's average of the plain file's, and says what that costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from edge_export import ExportSettings, export  # noqa: E402
from edge_export.precision.fp16 import to_fp16  # noqa: E402
from edge_runtime import CROSS_VALIDATED, AveragedViews, Classifier, Run, UsageError  # noqa: E402
from edge_train import DeployedNetwork, load_checkpoint, save_checkpoint  # noqa: E402

SHUFFLENET = "shufflenet_v2_x0_5"


def test_the_file_averages_as_the_runtime_does(make_run: Callable[..., Path], shapes: Path, tmp_path: Path) -> None:
    run = Run(make_run(tmp_path / "run", SHUFFLENET))
    (made,) = export(run, out=tmp_path / "five.onnx", settings=ExportSettings(tta="five-crop"))
    assert made.parity.holds
    file, best = Classifier(made.path), load_checkpoint(run.best)
    views = AveragedViews("five-crop", best.card.preprocessing)
    assert file.preprocessing == views.preprocessing != best.card.preprocessing
    pixels = np.stack([views.preprocessing(path) for path in sorted((shapes / "val").rglob("*.png"))[:3]])
    network = DeployedNetwork(best.build().requires_grad_(False), best.card.temperature)
    expected = views.answers(lambda part: network(torch.from_numpy(part)).numpy(), pixels).mean(axis=0)
    assert np.allclose(file.probabilities(pixels), expected, atol=1e-5)
    tta = file.card.tta
    assert (tta["name"], tta["views"]) == ("five-crop", 5) and tta["latency_ratio"] > 1
    # Its figures are its own, not those of a single view.
    assert file.card.metrics["val"]["accuracy"] == made.validation.whole.accuracy and "test" not in file.card.metrics
    to_fp16(made.path, tmp_path / "half.onnx")
    assert np.allclose(Classifier(tmp_path / "half.onnx").probabilities(pixels), expected, atol=0.02)


def test_what_cannot_be_averaged_is_refused(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = Run(make_run(tmp_path / "run", SHUFFLENET))
    for name in ("with_embedding", "with_unlike"):
        with pytest.raises(UsageError, match=f"`tta` averages answers, and `{name}`"):
            export(run, settings=ExportSettings(tta="flip", **{name: True}))  # type: ignore[arg-type]
    best = load_checkpoint(run.best)
    folded = replace(best.card, metrics={CROSS_VALIDATED: best.card.metrics["val"]})
    save_checkpoint(run.best, replace(best, card=folded))
    with pytest.raises(UsageError, match="learned from all images"):
        export(run, settings=ExportSettings(tta="flip"))
    assert not (run.path / "model.onnx").exists()
