"""`hf:OWNER/NAME`: from a hub on this machine, from what its client kept, and from EDGE_WEIGHTS_DIR."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from edge_runtime import MissingExtraError, UsageError, WeightsError
from edge_train.network.backbones import BACKBONES
from edge_train.network.building import build
from edge_train.network.hub_weights import HubFile, fetch, find_here, parse_hub_file
from edge_train.network.weights import load_pretrained, parse_weights
from fake_hub import COMMIT, fake_hub
from time_ratio import no_rest

pytest.importorskip("huggingface_hub")
SHUFFLENET = BACKBONES["shufflenet_v2_x0_5"]
NET = HubFile("acme/net")


def safetensors(seed: int = 1) -> tuple[nn.Module, bytes]:
    from safetensors.torch import save

    torch.manual_seed(seed)
    model = build(SHUFFLENET, classes=3)
    return model, save(model.state_dict())


@pytest.fixture(autouse=True)
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The client's cache is a fresh folder, and its hub an address that nothing listens at."""
    from huggingface_hub import constants

    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("EDGE_WEIGHTS_DIR", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    hub_at("http://127.0.0.1:9", monkeypatch)
    return tmp_path / "cache"


def hub_at(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", address)
    files = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("hf:acme/net", NET),
        ("HF:acme/net", NET),
        ("hf:acme/net@v2", HubFile("acme/net", "v2")),
        ("hf:acme/net@refs/pr/1:sub/x.safetensors", HubFile("acme/net", "refs/pr/1", "sub/x.safetensors")),
        ("hf:acme/net:x.safetensors", HubFile("acme/net", "", "x.safetensors")),
    ],
)
def test_a_repository_its_revision_and_its_file_are_named(text: str, wanted: HubFile) -> None:
    assert parse_weights(text) == wanted
    assert parse_hub_file(str(wanted)) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hf:", "names no repository"),
        ("hf:net", "names no repository"),
        ("hf:a/b/c", "names no repository"),
        ("hf:acme/net:model.bin", "is no safetensors file"),
        ("hf:acme/net:../x.safetensors", "is no file of a repository"),
        ("hf:acme/net:/x.safetensors", "is no file of a repository"),
    ],
)
def test_what_names_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_weights(text)


def test_it_is_downloaded_once_and_then_taken_from_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    source, content = safetensors()
    model = build(SHUFFLENET, classes=5)
    with fake_hub("acme/net", {"README.md": b"#", "model.safetensors": content}) as (address, asked):
        hub_at(address, monkeypatch)
        origin = load_pretrained(model, SHUFFLENET, NET)
        assert asked
    digest = hashlib.sha256(content).hexdigest()
    assert origin == f"hf:acme/net@{COMMIT[:12]}:model.safetensors (sha256 {digest[:16]})"
    assert torch.equal(model.get_parameter("conv5.0.weight"), source.get_parameter("conv5.0.weight"))
    # The hub is gone.
    assert load_pretrained(model, SHUFFLENET, NET) == origin
    assert fetch(HubFile("acme/net", COMMIT, "model.safetensors"))[1] == origin
    assert find_here(HubFile("acme/net", "another")) is None


def test_the_only_safetensors_file_is_taken_and_of_several_one_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _, content = safetensors()
    with fake_hub("acme/net", {"only.safetensors": content, "pytorch_model.bin": b""}) as (address, _):
        hub_at(address, monkeypatch)
        path, origin = fetch(NET)
    assert path.name == "only.safetensors" and ":only.safetensors" in origin
    # By what the cache has.
    assert find_here(NET) == path
    path.with_name("other.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=r"2 safetensors files: only.safetensors, other.safetensors") as caught:
        find_here(NET)
    assert caught.value.hint == "name one: hf:acme/net:only.safetensors"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (HubFile("acme/net"), "hf:acme/net has no safetensors file"),
        (HubFile("acme/net", "", "x.safetensors"), "it has no such file"),
        (HubFile("acme/none", "", "x.safetensors"), "there is no such repository"),
    ],
)
def test_what_the_hub_has_not_is_one_line(wanted: HubFile, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_hub("acme/net", {"pytorch_model.bin": b"pickle"}) as (address, asked):
        hub_at(address, monkeypatch)
        with pytest.raises(WeightsError, match=said) as caught:
            fetch(wanted)
    assert "\n" not in str(caught.value)
    assert not [line for line in asked if "pytorch_model.bin" in line], "no pickle is ever fetched"


def test_without_a_network_the_ways_out_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="hf:acme/net cannot be had: HF_HUB_OFFLINE is set") as caught:
        fetch(NET)
    assert "acme/net/model.safetensors" in caught.value.hint and "EDGE_WEIGHTS_DIR" in caught.value.hint
    # `edge import` has none.
    assert "weights" not in caught.value.hint


def test_a_folder_of_ones_own_comes_first_and_needs_no_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, content = safetensors()
    own = tmp_path / "own" / "acme" / "net" / "model.safetensors"
    own.parent.mkdir(parents=True)
    own.write_bytes(content)
    monkeypatch.setenv("EDGE_WEIGHTS_DIR", str(tmp_path / "own"))
    assert fetch(NET)[0] == own
    own.parent.rename(own.parent.with_name("net@v2"))
    assert fetch(HubFile("acme/net", "v2"))[0].parent.name == "net@v2"
    (tmp_path / "own" / "SHA256SUMS").write_text(f"{'0' * 64}  acme/net@v2/model.safetensors\n")
    with pytest.raises(UsageError, match="is damaged"):
        fetch(HubFile("acme/net", "v2"))


def test_a_hub_that_is_not_there_is_found_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", no_rest)
    with pytest.raises(WeightsError, match="hf:acme/net cannot be had: Connection refused"):
        fetch(NET)


@pytest.mark.parametrize("package", ["huggingface_hub", "safetensors"])
def test_without_its_client_the_extra_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # type: ignore[arg-type]
    with pytest.raises(MissingExtraError, match=r"pip install 'edge-vision\[hf\]'"):
        fetch(NET)


def test_the_client_is_quiet_and_the_environment_stays_as_it_is() -> None:
    pytest.importorskip("timm")
    script = """
import os
from edge_train import find_backbone
before = dict(os.environ)
find_backbone("timm:test_resnet")
assert dict(os.environ) == before, os.environ.keys() ^ before.keys()
import huggingface_hub.constants as kept
assert kept.HF_HUB_DISABLE_TELEMETRY and kept.HF_HUB_DISABLE_PROGRESS_BARS
from huggingface_hub.utils import logging
assert logging.get_verbosity() == logging.ERROR
"""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_HUB_")}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
