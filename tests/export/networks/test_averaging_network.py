"""A file that averages views answers as the runtime's average of the plain file's, and says what that costs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from edge_data import choose_evaluation  # noqa: E402
from edge_export import ExportSettings, export  # noqa: E402
from edge_export.precision.fp16 import to_fp16  # noqa: E402
from edge_runtime import CROSS_VALIDATED, AveragedViews, Classifier, Run, UsageError, evaluate  # noqa: E402
from edge_train import (  # noqa: E402
    Checkpoint,
    DeployedNetwork,
    Network,
    build,
    find_backbone,
    load_checkpoint,
    save_checkpoint,
    with_attention,
)


@pytest.fixture
def run(run_folder: Path, tmp_path: Path) -> Run:
    """A run of a ResNet-18 that may be harmed."""
    return Run(Path(shutil.copytree(run_folder, tmp_path / run_folder.name)))


def test_the_file_averages_as_the_runtime_does_and_has_attention_inside(run: Run, shapes: Path, tmp_path: Path) -> None:
    add_attention_to(run)
    (made,) = export(run, out=tmp_path / "five.onnx", settings=ExportSettings(tta="five-crop"))
    assert made.parity.holds
    file, best = Classifier(made.path), load_checkpoint(run.best)
    assert file.card.architecture == {"attention": "cbam"}
    views = AveragedViews("five-crop", best.card.preprocessing)
    assert file.preprocessing == views.preprocessing != best.card.preprocessing
    pixels = np.stack([views.preprocessing(path) for path in sorted((shapes / "val").rglob("*.png"))[:3]])
    network = DeployedNetwork(best.build().requires_grad_(False), best.card.temperature)
    expected = views.answers(lambda part: network(torch.from_numpy(part)).numpy(), pixels).mean(axis=0)
    assert np.allclose(file.probabilities(pixels), expected, atol=1e-5)
    tta = file.card.tta
    assert (tta["name"], tta["views"]) == ("five-crop", 5) and tta["latency_ratio"] > 1
    # Its figures are its own, not those of a single view.
    assert file.card.metrics["val"]["accuracy"] == made.validation.whole.accuracy
    unseen = choose_evaluation(file.card, run, wanted="test")
    assert file.card.metrics["test"] == evaluate(file, unseen.root, unseen.samples).metrics.on_card()
    to_fp16(made.path, tmp_path / "half.onnx")
    assert np.allclose(Classifier(tmp_path / "half.onnx").probabilities(pixels), expected, atol=0.02)


def add_attention_to(run: Run) -> None:
    """Give its checkpoint attention that is no identity."""
    plain = load_checkpoint(run.best)
    made = Network(build(with_attention(find_backbone("resnet18"), "cbam"), classes=3), (0.5,) * 3, (0.2,) * 3)
    made.load_state_dict(dict(plain.network), strict=False)
    torch.manual_seed(0)
    for name, parameter in made.named_parameters():
        if ".added_attention." in name:
            torch.nn.init.normal_(parameter, std=0.3)
    card = replace(plain.card, architecture={"attention": "cbam"})
    save_checkpoint(run.best, Checkpoint(card, made.state_dict(), 1, {}))
    pixels = torch.randint(0, 256, (2, 48, 48, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert not torch.allclose(plain.build()(pixels), made.eval()(pixels), atol=1e-2)


def test_what_cannot_be_averaged_is_refused(run: Run) -> None:
    for name in ("with_embedding", "with_unlike"):
        with pytest.raises(UsageError, match=f"`tta` averages answers, and `{name}`"):
            export(run, settings=ExportSettings(tta="flip", **{name: True}))  # type: ignore[arg-type]
    best = load_checkpoint(run.best)
    folded = replace(best.card, metrics={CROSS_VALIDATED: best.card.metrics["val"]})
    save_checkpoint(run.best, replace(best, card=folded))
    with pytest.raises(UsageError, match="learned from all images"):
        export(run, settings=ExportSettings(tta="flip"))
    assert not (run.path / "model.onnx").exists()
