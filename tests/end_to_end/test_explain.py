"""edge explain and edge predict --explain: what speaks for an answer, what a layer sees, with every backbone."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

import torch

from edge_cli.main import run
from edge_train import BACKBONES, Network, build
from edge_train.explain.activations import layers_in
from edge_train.explain.grad_cam import last_map


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=lambda backbone: str(backbone.name))
def test_the_last_map_of_every_backbone_has_places(backbone: Any) -> None:
    network = build(backbone, classes=3).eval()
    seen: list[torch.Tensor] = []
    last_map(network, backbone).register_forward_hook(lambda _m, _i, output: seen.append(output))
    size = max(96, backbone.smallest_px)
    with torch.no_grad():
        network(torch.zeros(1, 3, size, size))
    (found,) = seen
    assert found.ndim == 4 and min(found.shape[2:]) >= 2
    layers = layers_in(Network(network, (0.5,) * 3, (0.5,) * 3), size, size)
    # --activations: there are maps in each of its stages.
    with_maps = [layer.name for layer in layers if layer.has_maps]
    assert all(any(stage.holds(name) for name in with_maps) for stage in backbone.stages if stage.name != "hidden")


def test_an_explanation_lies_beside_the_picture(
    edge: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "val"):
        for label in ("red", "blue"):
            folder = tmp_path / "colours" / split / label
            folder.mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (64, 64), (200 + number, 0, 0) if label == "red" else (0, 0, 200)).save(
                    folder / f"{number}.png"
                )
    words = ["--data", "colours", "--epochs", "1", "--image-size", "64", "--threads", "1"]
    done = edge("train", "--backbone", "shufflenet_v2_x0_5", "--strategy", "scratch", *words)
    assert done.returncode == 0, done.stderr
    assert edge("export").returncode == 0
    Image.new("RGB", (80, 60), "red").save(tmp_path / "x.png")
    done = edge("predict", "--explain", "x.png", "--json")
    assert done.returncode == 0, done.stderr
    plain = json.loads(edge("predict", "x.png", "--json").stdout)
    assert json.loads(done.stdout) == plain
    with Image.open(tmp_path / "x.explained.png") as picture:
        assert np.asarray(picture).std() > 1
    _only_of_its_own_network(tmp_path, monkeypatch, capsys)
    _only_of_the_signed_model(tmp_path)
    _looks_into_the_run(edge, tmp_path, plain)
    _refuses(tmp_path, monkeypatch, capsys)
    # Its own picture is drawn anew, another's is not.
    assert edge("predict", "--explain", "x.png").returncode == 0
    Image.new("RGB", (8, 8)).save(tmp_path / "mine.png")
    refused = edge("predict", "--explain", "x.png", "--out", "mine.png")
    assert refused.returncode == 2 and "mine.png" in refused.stderr
    next(tmp_path.glob("runs/*/best.pt")).unlink()
    missing = edge("predict", "--explain", "x.png", "--model", next(tmp_path.glob("runs/*/model.onnx")))
    assert missing.returncode == 2 and "best.pt" in missing.stderr and "Traceback" not in missing.stderr


def _looks_into_the_run(edge: Any, folder: Path, plain: Any) -> None:
    """edge explain draws of the newest run, from best.pt."""
    done = edge("explain", "x.png", "--json", "--out", "heat.png")
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["drawing"] == "heat.png" and (folder / "heat.png").is_file()
    (exported,) = plain["predictions"]
    assert answer["label"] == exported["label"] and abs(answer["probability"] - exported["probability"]) < 1e-3
    listed = json.loads(edge("explain", "--activations", "list", "--json").stdout)
    assert {"name": "conv1.0", "kind": "Conv2d", "shape": [24, 32, 32], "maps": True} in listed
    assert " no maps" in edge("explain", "--activations", "list").stdout
    done = edge("explain", "x.png", "--activations", "conv1")
    assert done.returncode == 0 and done.stdout.startswith("conv1: 24 maps of 32×32, and 24 filters of conv1.0; ")
    with Image.open(folder / "x.conv1.explained.png") as picture:
        assert np.asarray(picture).std() > 1


def _only_of_its_own_network(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of averaged views the first is drawn; another network, and one network of an ensemble, are not."""
    monkeypatch.chdir(folder)
    (model,), (best,) = folder.glob("runs/*/model.onnx"), folder.glob("runs/*/best.pt")
    exported, trained = model.read_bytes(), best.read_bytes()

    def explain(code: int) -> str:
        Path("drawn.png").unlink(missing_ok=True)
        monkeypatch.setattr(sys, "argv", ["edge", "predict", "--explain", "x.png", "--out", "drawn.png"])
        assert run() == code and Path("drawn.png").exists() == (code == 0)
        return capsys.readouterr().err

    found = torch.load(best, weights_only=True)
    # So that there is something around the crop.
    found["card"]["preprocessing"]["resize_short_side"] = 72
    torch.save(found, best)
    for name, count in (("flip", 2), ("five-crop", 5)):
        monkeypatch.setattr(sys, "argv", ["edge", "export", "--tta", name, "--quiet"])
        assert run() == 0
        assert f"averages {count} views ({name}): the drawing is of the first" in explain(0)
    model.write_bytes(exported)
    best.write_bytes(trained)
    card = json.loads(onnx_card(exported))
    for change, said in (
        ({"members": [{"run": "runs/one"}, {"run": "runs/two"}]}, "averages the answers of 2 networks"),
        ({"tta": {"name": "ten-crop"}}, "is not what"),
    ):
        model.write_bytes(onnx_card(exported, json.dumps({**card, **change})))
        assert said in explain(2)
    for precision, factor, code, said in (
        ("fp32", -1000, 1, "it would explain another network"),
        ("int8", -1000, 0, "note: "),
        ("int8", float("nan"), 1, "it would explain another network"),
    ):
        found = torch.load(io.BytesIO(trained), weights_only=True)
        for name in ("backbone.fc.weight", "backbone.fc.bias"):
            found["network"][name].mul_(factor)
        torch.save(found, best)
        model.write_bytes(onnx_card(exported, json.dumps({**card, "precision": precision})))
        assert said in explain(code)
    model.write_bytes(exported)
    best.write_bytes(trained)


def onnx_card(data: bytes, text: str = "") -> Any:
    """The card of a model file, or the file with another one."""
    onnx = pytest.importorskip("onnx")
    proto = onnx.load_from_string(data)
    (entry,) = (entry for entry in proto.metadata_props if entry.key == "edge")
    if not text:
        return entry.value
    entry.value = text
    return proto.SerializeToString()


def _only_of_the_signed_model(folder: Path) -> None:
    """The answer is the signed file's, and the checkpoint, which nobody signs, has to give it, too."""
    pytest.importorskip("cryptography")
    from edge_cli.predict.explained_answer import explain_picture
    from edge_runtime import Classifier, ModelError, Run, SigningKey, new_key, sign_model

    public, _ = new_key(folder / "fleet.pem")
    (model,), (best,) = folder.glob("runs/*/model.onnx"), folder.glob("runs/*/best.pt")

    def explain() -> str:
        where = model, Run(best.parent), folder / "signed.png"
        answer, _ = explain_picture(folder / "x.png", *where, 1, [public], say=print)
        return answer.label

    with pytest.raises(ModelError, match="is not signed"):
        explain()
    sign_model(model, SigningKey(folder / "fleet.pem"))
    assert explain() == Classifier(model).predict(folder / "x.png").label
    kept, found = best.read_bytes(), torch.load(best, weights_only=True)
    (folder / "signed.png").unlink()
    for tensor in found["network"].values():
        tensor.neg_()
    torch.save(found, best)
    with pytest.raises(ModelError, match="it would explain another network"):
        explain()
    assert not (folder / "signed.png").exists()
    best.write_bytes(kept)


def test_a_folder_has_no_place_for_its_drawing(tmp_path: Path) -> None:
    from edge_cli.drawing_target import beside_picture
    from edge_runtime import UsageError

    assert beside_picture(tmp_path / "x.png", ".conv1") == tmp_path / "x.conv1.explained.png"
    for folder in (Path(), Path("/"), tmp_path):
        with pytest.raises(UsageError, match="is a folder"):
            beside_picture(folder)


def _refuses(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What edge explain cannot draw is said in a line and a hint, in this process: each of them would load torch."""
    monkeypatch.chdir(folder)
    for words, message in (
        (["x.png", "--activations", "conv9"], "has no layer 'conv9'"),
        (["x.png", "--activations", "fc"], "gives a vector"),
        (["x.png", "--activations", "../conv1"], "has no layer '../conv1'"),
        (["gone.png", "--activations", "conv1"], "gone.png"),
        (["x.png", "--activations", "conv1", "--out", "x.png"], "no explanation of ours"),
        (["x.png", "--activations", "conv1", "--out", "x.jpg"], "x.jpg"),
        (["x.png", "--activations", "list"], "takes no picture"),
        ([], "there is no picture"),
        (["."], ". is a folder"),
        (["/", "--activations", "conv1"], "/ is a folder"),
    ):
        monkeypatch.setattr(sys, "argv", ["edge", "explain", "--quiet", *words])
        assert run() == (1 if "gone.png" in words else 2)
        said = capsys.readouterr().err
        assert message in said and len(said.strip().splitlines()) == 2
