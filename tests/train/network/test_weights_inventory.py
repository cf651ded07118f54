"""Weights files on this machine: found where they are looked for, and held against what they must hash to."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch import nn

from edge_runtime import EdgeError, UsageError, WeightsError
from edge_train.network.backbones import BACKBONES
from edge_train.network.building import build
from edge_train.network.weights import load_pretrained
from edge_train.network.weights_folder import torchvision_weights
from edge_train.network.weights_inventory import list_weights, look_at, weights_path, weights_places

SQUEEZENET = BACKBONES["squeezenet1_1"]
FILE = torchvision_weights("squeezenet1_1").file


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """EDGE_WEIGHTS_DIR, with empty caches and no network beside it."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("EDGE_WEIGHTS_DIR", str(own))
    return own


def net(seed: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    return build(SQUEEZENET, classes=1000)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_folders_are_told_in_the_order_of_the_search(
    places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [place.folder for place in weights_places()] == [
        places,
        tmp_path / "torch" / "hub" / "checkpoints",
        tmp_path / "hub",
    ]
    monkeypatch.delenv("EDGE_WEIGHTS_DIR")
    assert weights_places()[0].folder is None
    monkeypatch.setenv("EDGE_WEIGHTS_DIR", str(places / "gone"))
    with pytest.raises(UsageError, match=r"EDGE_WEIGHTS_DIR is .*gone, which is no folder"):
        weights_places()


def test_training_takes_its_weights_from_the_folder_without_a_network(places: Path) -> None:
    source, model = net(1), build(SQUEEZENET, classes=2)
    torch.save(source.state_dict(), places / "squeezenet1_1.pth")
    digest = sha256(places / "squeezenet1_1.pth")
    origin = load_pretrained(model, SQUEEZENET, "default")
    assert origin == f"file squeezenet1_1.pth (sha256 {digest[:16]}), from EDGE_WEIGHTS_DIR"
    assert torch.equal(model.get_parameter("features.0.weight"), source.get_parameter("features.0.weight"))
    assert weights_path("squeezenet1_1") == places / "squeezenet1_1.pth"


def test_a_file_whose_hash_is_not_that_of_its_name_is_refused_not_passed_over(places: Path) -> None:
    torch.save(net().state_dict(), places / FILE)
    for use in (lambda: load_pretrained(net(2), SQUEEZENET, "default"), lambda: weights_path("squeezenet1_1")):
        with pytest.raises(UsageError, match=f"{FILE} is damaged: its SHA-256 is .* by its name it must be b8a52dc0…"):
            use()
    (file,) = list_weights()
    assert (file.state, file.known_by, file.expected, file.used_for) == (
        "damaged",
        "its name",
        "b8a52dc0",
        "squeezenet1_1",
    )


def test_sha256sums_says_what_files_must_be_and_the_name_still_holds(places: Path) -> None:
    path = places / "squeezenet1_1.pth"
    path.write_bytes(b"one")
    assert look_at(path).state == "unknown"
    sums = places / "SHA256SUMS"
    sums.write_text(f"{sha256(path)} *./squeezenet1_1.pth\n\n", encoding="utf-8")
    assert (look_at(path).state, look_at(path).known_by) == ("ok", "SHA256SUMS")
    path.write_bytes(b"two")
    assert look_at(path).state == "damaged"
    named = path.rename(places / FILE)
    sums.write_text(f"{sha256(named)}  {FILE}\n", encoding="utf-8")
    assert (look_at(named).state, look_at(named).known_by) == ("damaged", "its name")
    sums.write_text("nonsense\n", encoding="utf-8")
    with pytest.raises(WeightsError, match="line 1 is no SHA-256 and a name"):
        look_at(named)


def test_all_places_are_listed_with_whose_weights_they_are(places: Path, tmp_path: Path) -> None:
    content = b"weights"
    digest = hashlib.sha256(content).hexdigest()
    blob = tmp_path / "hub" / "models--timm--resnet18.a1_in1k" / "blobs" / digest
    link = blob.parents[1] / "snapshots" / ("0" * 40) / "model.safetensors"
    cached = tmp_path / "torch" / "hub" / "checkpoints" / f"resnet18-{digest[:8]}.pth"
    folder = places / "acme" / "net@v1" / "model.safetensors"
    for path in (blob, cached, folder):
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    found = {file.used_for: file for file in list_weights()}
    assert found.keys() == {"hf:acme/net@v1", "", "timm:resnet18.a1_in1k"}
    assert found[""].path == cached, "no backbone's file of today"
    assert [(file.place, file.state, file.known_by) for file in found.values()] == [
        ("EDGE_WEIGHTS_DIR", "unknown", ""),
        ("torch hub's cache", "ok", "its name"),
        ("Hugging Face cache", "ok", "the hub"),
    ]
    assert {file.sha256 for file in found.values()} == {digest}
    assert weights_path("hf:acme/net@v1") == folder
    blob.write_bytes(b"damage")
    assert {file.used_for for file in list_weights() if file.state == "damaged"} == {"timm:resnet18.a1_in1k"}


def test_timms_weights_are_found_in_the_folder_and_in_the_hubs_cache(places: Path) -> None:
    pytest.importorskip("timm")
    path = places / "timm" / "test_resnet.r160_in1k" / "model.safetensors"
    with pytest.raises(WeightsError, match=r"timm/test_resnet\.r160_in1k/model\.safetensors is not in"):
        weights_path("timm:test_resnet.r160_in1k")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    assert weights_path("timm:test_resnet.r160_in1k") == path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet18", "no weights of resnet18 are here: resnet18-f37072fd.pth is not in"),
        ("hf:acme/net", "acme/net/model.safetensors is not in"),
        ("resnet19", "no backbone is called 'resnet19'"),
        ("hf:acme", "names no repository"),
    ],
)
def test_what_is_not_here_is_one_line(name: str, said: str) -> None:
    with pytest.raises(EdgeError) as caught:
        weights_path(name)
    assert said in caught.value.message and "\n" not in str(caught.value)
