"""Checkpoints and settings that do not go together: named in one line, and nothing is left."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from edge_runtime import EdgeError, UsageError, WeightsError
from edge_train import build, find_backbone
from imported_nets import (
    CODE,
    State,
    before,
    body_and_head,
    take,
    tiny,
)


def refusal(path: Path, out: Path, **others: Any) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        take(path, out, **others)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    return caught.value


def test_another_network_is_refused_with_its_name_and_nothing_is_left(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    torch.save(
        {"state_dict": before(build(find_backbone("squeezenet1_1"), classes=3).state_dict(), "net.")},
        tmp_path / "x.pth",
    )
    error = refusal(tmp_path / "x.pth", out)
    assert "does not fit own.py:net: " in error.message and " missing (" in error.message
    assert error.hint == "these look like the weights of squeezenet1_1: use `backbone` squeezenet1_1"
    error = refusal(tmp_path / "x.pth", out, backbone=None)
    assert (error.exit_code, "does not say of which network" in error.message) == (2, True)
    assert "squeezenet1_1" in error.hint


def changed(state: State, key: str, value: Tensor | None) -> State:
    return {name: (value if name == key else t) for name, t in state.items() if name != key or value is not None}  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("layer1.0.weight", None, "1 missing (layer1.0.weight)"),
        ("layer1.0.weight", torch.zeros(2, 2), "layer1.0.weight [2, 2] instead of [16, 8, 3, 3]"),
        ("layer1.0.weight", torch.zeros(16, 8, 3, 3).to(torch.int8), "[16, 8, 3, 3] int8 instead of"),
        ("layer1.0.weight", torch.full((16, 8, 3, 3), float("nan")), "NaN or infinite values in layer1.0.weight"),
        ("fc.weight", torch.zeros(1, 16), "answers with one number"),
        ("fc.weight", torch.zeros(3, 7), "fc.weight [3, 7] instead of [3, 16]"),
        ("fc.weight", None, "has no head that fits"),
        ("layer1.9.weight", torch.zeros(3), "1 unexpected (layer1.9.weight)"),
    ],
)
def test_what_does_not_fit_is_named(key: str, value: Tensor | None, said: str, tmp_path: Path) -> None:
    state = dict(tiny().state_dict())
    state.setdefault(key, torch.zeros(1))
    torch.save(changed(state, key, value), tmp_path / "x.pth")
    assert said in refusal(tmp_path / "x.pth", tmp_path / "runs").message


def test_a_head_of_other_layers_is_refused_with_what_it_has(tmp_path: Path) -> None:
    body, _ = body_and_head(tiny().state_dict())
    head = {"fc.0.weight": torch.zeros(8, 16), "fc.0.bias": torch.zeros(8), "fc.3.weight": torch.zeros(3, 8)}
    torch.save({**body, **head, "fc.3.bias": torch.zeros(3)}, tmp_path / "x.pth")
    error = refusal(tmp_path / "x.pth", tmp_path / "runs")
    assert "it has 4 tensors (fc.0.weight [8, 16], fc.0.bias [8], fc.3.weight [3, 8], …)" in error.message
    assert "FILE.py:FUNCTION" in error.hint


@pytest.mark.parametrize("script", ["torchvision", "edge"])
@pytest.mark.parametrize("prefix", ["", " "])
def test_code_that_a_checkpoint_names_is_not_run(
    script: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tiny().state_dict()
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    ran, code = tmp_path / "ran", tmp_path / "evil.py"
    code.write_text(f"import pathlib; pathlib.Path({str(ran)!r}).touch()\n{CODE}", encoding="utf-8")
    name = f"{prefix}{code}:net"
    held = {"model": state, "args": argparse.Namespace(model=name, val_crop_size=32)}
    if script == "edge":
        # No card as a whole, so that all in it is a claim.
        held = {"edge_checkpoint": 1, "card": {"backbone": name}, "network": before(state, "backbone.")}
    torch.save(held, tmp_path / "x.pth")
    assert "does not say of which network" in refusal(tmp_path / "x.pth", tmp_path / "runs", backbone=None).message
    assert not ran.exists() and not (tmp_path / "cache" / "networks").exists()


def test_a_head_with_more_than_the_backbones_is_refused_by_name(tmp_path: Path) -> None:
    """Without an adapter or a scale it would answer otherwise than it was trained to."""
    state = dict(tiny().state_dict())
    torch.save({**state, "fc.lora_A": torch.ones(2, 16), "fc.scale": torch.ones(1)}, tmp_path / "x.pth")
    error = refusal(tmp_path / "x.pth", tmp_path / "runs")
    assert error.message.endswith("has 2 tensors in its head that own.py:net's, fc, has not (fc.lora_A, fc.scale)")
    assert "FILE.py:FUNCTION" in error.hint


@pytest.mark.parametrize("kind", ["multi-label", "multi-task"])
def test_edges_own_checkpoint_of_other_pictures_is_refused(kind: str, tmp_path: Path) -> None:
    network = before(tiny().state_dict(), "backbone.")
    torch.save({"edge_checkpoint": 1, "card": {"kind": kind}, "network": network}, tmp_path / "best.pt")
    (tmp_path / "config.json").write_text("{}")
    error = refusal(tmp_path / "best.pt", tmp_path / "runs")
    assert error.exit_code == 2 and "its pictures have a" in error.message
    assert f"edge export --run {tmp_path}" in error.hint


def test_a_card_with_a_tensor_for_a_flag_is_none(tmp_path: Path) -> None:
    run = take(saved(tmp_path / "x.pth"), tmp_path / "first").run
    best = torch.load(run.best, weights_only=True)
    best["card"]["preprocessing"]["antialias"] = torch.ones(2)
    torch.save(best, tmp_path / "best.pt")
    assert take(tmp_path / "best.pt", tmp_path / "runs").card.labels == ("circle", "square", "triangle")


def saved(path: Path) -> Path:
    torch.save(tiny().state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"labels": None}, "answers 3 classes, which nothing names"),
        ({"labels": "a,b"}, "answers 3 classes, but `labels` has 2"),
        ({"labels": "a,b,b"}, "'b' twice"),
        ({"labels": "a,,b"}, "without a name"),
        ({"labels": "gone.txt"}, "gone.txt cannot be read"),
        ({"labels": "imagenet"}, "answers 3 classes, but `labels` has 1000"),
        ({"mean": (1.0, 2.0)}, "`mean` 1.0,2.0 is no value"),
        ({"std": (1.0, 2.0, 0.0)}, "`std` 1.0,2.0,0.0 is no value"),
        ({"image_size": 64, "resize": 32}, "`resize` 32 is less than the input of 64 pixels"),
        ({"resize": 5000}, "`resize` 5000 is no short side"),
        ({"mean": (10**400, 0, 0)}, "`mean` inf: a finite number is needed"),
        ({"mean": (1e39, 0, 0)}, "is no value for each of three channels"),
        ({"image_size": 2}, "cannot take 2×2 pixels"),
        ({"data": "gone"}, "gone"),
        ({"prefix": "nothing."}, "no tensor of x.pth has the prefix nothing."),
    ],
)
def test_settings_that_do_not_go_with_the_checkpoint_are_refused(
    others: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(tiny().state_dict(), tmp_path / "x.pth")
    with pytest.raises(EdgeError) as caught:
        take(Path("x.pth"), Path("runs"), **others)
    assert said in caught.value.message
    assert isinstance(caught.value, UsageError if "prefix" not in others else WeightsError)
    assert not Path("runs").exists()
