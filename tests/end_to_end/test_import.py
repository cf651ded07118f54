"""edge import and edge weights as a person types them: a checkpoint from elsewhere in, a model file out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edge_data import draw_shapes  # noqa: E402
from edge_train import build, find_backbone  # noqa: E402
from own_nets import write_nets  # noqa: E402


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """One of timm's train.py, whose flags are an object, of a small network of one's own."""
    torch.manual_seed(0)
    state = build(find_backbone(f"{write_nets(tmp_path)}:plain"), classes=3).state_dict()
    args = argparse.Namespace(img_size=32, mean=[0.5, 0.5, 0.5], std=[0.2, 0.2, 0.2], crop_pct=1.0)
    beside = {"loss.weight": torch.ones(3)}
    torch.save(
        {"arch": "plain", "state_dict": {f"net.{k}": t for k, t in state.items()} | beside, "args": args},
        tmp_path / "x.pth.tar",
    )
    return tmp_path / "x.pth.tar"


def test_a_checkpoint_is_imported_measured_exported_and_evaluated(edge: Any, checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    data = draw_shapes(tmp_path / "shapes", counts=(12, 9, 9))
    words = ["import", checkpoint, "--backbone", f"{tmp_path / 'nets.py'}:plain", "--data", data]
    done = edge(*words)
    assert done.returncode == 0, done.stderr
    assert "timm's train.py; prefix net." in done.stderr and "not used: 1 key (loss.weight)" in done.stderr
    assert "3 classes, named by the data: circle, square, triangle" in done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert done.stdout.splitlines()[-1].startswith("test accuracy ")
    assert done.stdout.splitlines()[-1].endswith(f"{run.relative_to(tmp_path) / 'best.pt'}")
    report = (run / "report.html").read_text(encoding="utf-8")
    assert f"edge import {checkpoint} --backbone" in report
    done = edge("export")
    assert done.returncode == 0, done.stderr
    done = edge("evaluate", "--json")
    found, recorded = json.loads(done.stdout), json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert found["accuracy"] == recorded["metrics"]["test"]["accuracy"]
    assert json.loads(edge(*words, "--json").stdout)["strategy"] == "imported"


def test_weights_are_listed_verified_and_found(
    edge: Any, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("EDGE_WEIGHTS_DIR", str(own))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    path = checkpoint.rename(own / "resnet18.pth")
    assert edge("weights", "path", "resnet18").stdout == f"{path}\n"
    done = edge("weights", "list")
    assert done.returncode == 0 and f"EDGE_WEIGHTS_DIR    {own}" in done.stdout and "no hash known" in done.stdout
    listed = json.loads(edge("weights", "list", "--json").stdout)
    assert listed["files"][0]["used_for"] == "resnet18" and "resnet18" not in listed["backbones_without"]
    assert edge("weights", "verify").returncode == 0
    path.rename(own / "resnet18-f37072fd.pth")
    done = edge("weights", "verify")
    assert done.returncode == 1 and "by its name it must be f37072fd…" in done.stderr
    assert json.loads(edge("weights", "verify", "--json").stdout)["damaged"] == 1
