"""A network with attention is exported as any other, and its gates are in the file."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from edge_export import export  # noqa: E402
from edge_runtime import Classifier, Run  # noqa: E402
from edge_train import Checkpoint, Network, build, find_backbone, load_checkpoint, save_checkpoint, with_attention  # noqa: E402


def test_a_file_with_attention_answers_as_its_checkpoint(run_folder: Path, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(run_folder, tmp_path / run_folder.name)))
    plain = load_checkpoint(run.best)
    attended = with_attention(find_backbone("resnet18"), "cbam")
    made = Network(build(attended, classes=3), (0.5,) * 3, (0.2,) * 3)
    made.load_state_dict(dict(plain.network), strict=False)
    for name, parameter in made.named_parameters():
        if ".added_attention." in name:
            torch.nn.init.normal_(parameter, std=0.3)
    card = replace(plain.card, architecture={"attention": "cbam"})
    save_checkpoint(run.best, Checkpoint(card, made.state_dict(), 1, {}))

    files = export(run, ("onnx", "torchscript"))
    assert all(file.parity.holds and file.parity.max_difference < 1e-4 for file in files)
    assert Classifier(files[0].path).card.architecture == {"attention": "cbam"}
    pixels = torch.randint(0, 256, (2, 48, 48, 3), dtype=torch.uint8)
    with torch.inference_mode():
        without = torch.softmax(plain.build()(pixels) / card.temperature, 1).numpy()
    assert abs(Classifier(files[0].path).probabilities(pixels.numpy()) - without).max() > 1e-3
