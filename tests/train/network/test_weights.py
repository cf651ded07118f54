from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings, strategies as st
from torch import Tensor, nn
from torchvision import models

from edge_runtime import UsageError, WeightsError
from edge_train.network.backbones import BACKBONES
from edge_train.network.building import build
from edge_train.network.network import Network
from edge_train.network.weights import load_pretrained, parse_weights
from time_ratio import no_rest

SHARED = Path(__file__).parents[3].parent / "shared" / "weights"
SHUFFLENET = BACKBONES["shufflenet_v2_x0_5"]


@pytest.fixture(autouse=True)
def no_proxy_but_the_tests_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def shufflenet(seed: int, classes: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    model = build(SHUFFLENET, classes=classes)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if not name.endswith("num_batches_tracked"):
                buffer.uniform_(0.5, 1.5)
    return model


def body(model: nn.Module) -> dict[str, Tensor]:
    """What is loaded: all but the head, and but the counters that nothing reads."""
    return {
        key: tensor.clone()
        for key, tensor in model.state_dict().items()
        if not key.startswith("fc.") and not key.endswith("num_batches_tracked")
    }


def equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


# ---- choosing


@pytest.mark.parametrize("text", ["default", "Default", " default "])
def test_default_is_understood(text: str) -> None:
    assert parse_weights(text) == "default"


def test_none_and_files_are_told_apart() -> None:
    assert parse_weights("none") == "none"
    assert parse_weights("./none") == Path("none")
    assert parse_weights("~/net.pth") == Path.home() / "net.pth"


def test_an_empty_choice_is_refused() -> None:
    with pytest.raises(UsageError, match="default, none or a file"):
        parse_weights(" ")


# ---- files


Wrapping = Callable[[dict[str, Tensor]], object]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "optimizer": {"state": {}}},
        lambda state: {f"module.{key}": tensor for key, tensor in state.items()},
        lambda state: {f"_orig_mod.module.{key}": tensor for key, tensor in state.items()},
        lambda state: {"state_dict": {f"model.{key}": tensor for key, tensor in state.items()}},
        lambda state: {key: t for key, t in state.items() if not key.endswith("num_batches_tracked")},
        lambda state: {key: t for key, t in state.items() if not key.startswith("fc.")},
        lambda state: nn.Module().state_dict() | state,
    ],
    ids=["bare", "state_dict", "model", "module", "compiled", "lightning", "uncounted", "headless", "ordered"],
)
def test_a_state_dict_is_loaded_however_it_is_wrapped(tmp_path: Path, wrap: Wrapping) -> None:
    source, model = shufflenet(1, classes=1000), shufflenet(2)
    head = model.get_parameter("fc.weight").clone()
    torch.save(wrap(source.state_dict()), tmp_path / "net.pth")
    load_pretrained(model, SHUFFLENET, tmp_path / "net.pth")
    assert equal(body(model), body(source))
    assert torch.equal(model.get_parameter("fc.weight"), head)


def test_a_checkpoint_of_edge_is_loaded_with_another_number_of_classes(tmp_path: Path) -> None:
    source, model = shufflenet(1, classes=4), shufflenet(2, classes=9)
    network = Network(source, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    torch.save({"network": network.state_dict(), "card": {"labels": ["a"]}, "epoch": 1}, tmp_path / "best.pt")
    load_pretrained(model, SHUFFLENET, tmp_path / "best.pt")
    assert equal(body(model), body(source))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    source, model = shufflenet(1), shufflenet(2)
    torch.save({key: tensor.to(dtype) for key, tensor in source.state_dict().items()}, tmp_path / "net.pth")
    load_pretrained(model, SHUFFLENET, tmp_path / "net.pth")
    expected = {key: tensor.to(dtype).float() for key, tensor in body(source).items()}
    assert equal(body(model), expected)
    assert {tensor.dtype for tensor in body(model).values()} == {torch.float32}


def test_the_origin_names_the_file_and_its_content(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(shufflenet(1).state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_pretrained(shufflenet(2), SHUFFLENET, path) == f"file net.pth (sha256 {digest[:16]})"


def test_densenet_files_with_the_old_names_are_loaded(tmp_path: Path) -> None:
    densenet = BACKBONES["densenet121"]
    model = build(densenet, classes=2)
    state = {key: torch.full_like(tensor, index % 97) for index, (key, tensor) in enumerate(model.state_dict().items())}
    old = {key.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): t for key, t in state.items()}
    assert old.keys() != state.keys()
    torch.save(old, tmp_path / "densenet.pth")
    load_pretrained(model, densenet, tmp_path / "densenet.pth")
    for key in ("features.denseblock4.denselayer16.conv2.weight", "features.denseblock1.denselayer1.norm1.bias"):
        assert torch.equal(model.get_parameter(key), state[key])


def refusal(model: nn.Module, path: Path, backbone: str = "shufflenet_v2_x0_5") -> WeightsError:
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_pretrained(model, BACKBONES[backbone], path)
    assert str(path) in caught.value.message
    assert "\n" not in str(caught.value)
    assert equal(model.state_dict(), before), "a refused file must leave the model as it was"
    return caught.value


def test_the_weights_of_another_backbone_are_refused_by_key_and_by_guess(tmp_path: Path) -> None:
    torch.save(models.mobilenet_v2(weights=None).state_dict(), tmp_path / "net.pth")
    error = refusal(shufflenet(1), tmp_path / "net.pth")
    assert "does not fit shufflenet_v2_x0_5" in error.message
    assert "missing (conv1.0.weight, conv1.1.weight, conv1.1.bias, …)" in error.message
    assert "unexpected (features.0.0.weight, " in error.message
    assert error.hint == "these look like the weights of mobilenet_v2: use `backbone` mobilenet_v2"


def test_the_same_names_in_other_shapes_are_refused_with_both_shapes(tmp_path: Path) -> None:
    torch.save(models.shufflenet_v2_x1_0(weights=None).state_dict(), tmp_path / "net.pth")
    error = refusal(shufflenet(1), tmp_path / "net.pth")
    assert "missing" not in error.message
    assert "stage2.0.branch1.2.weight [58, 24, 1, 1] instead of [24, 24, 1, 1]" in error.message
    assert "shufflenet_v2_x1_0" in error.hint


def test_a_larger_relative_that_holds_all_our_keys_is_refused(tmp_path: Path) -> None:
    torch.save(models.resnet34(weights=None).state_dict(), tmp_path / "net.pth")
    error = refusal(build(BACKBONES["resnet18"], classes=2), tmp_path / "net.pth", "resnet18")
    assert "unexpected (layer1.2.conv1.weight, " in error.message
    assert "`backbone`" not in error.hint


def test_a_single_missing_key_is_named_alone(tmp_path: Path) -> None:
    state = shufflenet(1).state_dict()
    del state["conv5.0.weight"]
    torch.save(state, tmp_path / "net.pth")
    error = refusal(shufflenet(2), tmp_path / "net.pth")
    assert error.message.endswith(": 1 missing (conv5.0.weight)")
    assert "damaged or modified shufflenet_v2_x0_5" in error.hint


def test_weights_of_nothing_known_are_said_to_be_so(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "net.pth")
    assert "not the weights of any backbone" in refusal(shufflenet(1), tmp_path / "net.pth").hint


def test_integers_in_place_of_floats_are_refused(tmp_path: Path) -> None:
    state = {key: t.to(torch.int8) if key == "conv5.0.weight" else t for key, t in shufflenet(1).state_dict().items()}
    torch.save(state, tmp_path / "net.pth")
    error = refusal(shufflenet(2), tmp_path / "net.pth")
    assert "conv5.0.weight [1024, 192, 1, 1] int8 instead of [1024, 192, 1, 1]" in error.message


def test_weights_that_are_not_numbers_are_refused_by_key(tmp_path: Path) -> None:
    state = shufflenet(1).state_dict()
    state["conv5.0.weight"][0] = float("nan")
    torch.save(state, tmp_path / "net.pth")
    assert "NaN or infinite values in conv5.0.weight" in refusal(shufflenet(2), tmp_path / "net.pth").message


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("sprung",)


def test_a_pickle_with_code_is_refused_by_name_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.0.weight": Trap()}, tmp_path / "net.pth")
    error = refusal(shufflenet(1), tmp_path / "net.pth")
    assert "mkdir" in error.message
    assert not (tmp_path / "sprung").exists()


def test_a_whole_pickled_model_is_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "net.pth")
    error = refusal(shufflenet(1), tmp_path / "net.pth")
    assert "torch.nn.modules.linear.Linear" in error.message
    assert "state_dict()" in error.hint


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\x00" * 4096, b"PK\x03\x04 not a zip"])
def test_what_is_no_pytorch_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.pth").write_bytes(content)
    assert "damaged or not a PyTorch file" in refusal(shufflenet(1), tmp_path / "net.pth").message


@pytest.mark.parametrize("value", [3, [torch.zeros(2)], {}, {"epoch": 3}, torch.zeros(2)])
def test_a_pytorch_file_without_a_state_dict_is_refused(tmp_path: Path, value: object) -> None:
    torch.save(value, tmp_path / "net.pth")
    assert "holds no state dict" in refusal(shufflenet(1), tmp_path / "net.pth").message


@cache
def saved(zipped: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(shufflenet(1).state_dict(), buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@given(zipped=st.booleans(), kept=st.floats(min_value=0, max_value=1, exclude_max=True))
@example(zipped=True, kept=4097 / 1_500_000)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, zipped: bool, kept: float) -> None:
    whole = saved(zipped)
    (tmp_path / "net.pth").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(WeightsError, match="damaged"):
        load_pretrained(nn.Linear(2, 2), SHUFFLENET, tmp_path / "net.pth")


@pytest.mark.parametrize("name", ["absent.pth", "", "x" * 300])
def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_pretrained(shufflenet(1), SHUFFLENET, tmp_path / name)
    assert str(tmp_path / name) in caught.value.message


def test_safetensors_are_read_or_the_package_to_install_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    if find_spec("safetensors") is None:
        path.write_bytes(b"")
        with pytest.raises(UsageError, match="pip install safetensors"):
            load_pretrained(shufflenet(1), SHUFFLENET, path)
        return
    source, model = shufflenet(1), shufflenet(2)
    import_module("safetensors.torch").save_file(source.state_dict(), path)
    load_pretrained(model, SHUFFLENET, path)
    assert equal(body(model), body(source))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_the_shared_imagenet_weights_fit(name: str) -> None:
    path = SHARED / f"{name}-imagenet.pth"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    backbone = BACKBONES[name]
    model = build(backbone, classes=2)
    assert path.name in load_pretrained(model, backbone, path)
    with pytest.raises(WeightsError) as caught:
        load_pretrained(shufflenet(1), SHUFFLENET, path)
    assert f"`backbone` {name}" in caught.value.hint


# ---- the hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    # Nothing listens on the discard port, so that a download is refused at once and never leaves this machine.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    return tmp_path / "hub" / "checkpoints"


def test_a_valid_file_in_the_cache_is_used_without_a_network(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, model = shufflenet(1, classes=1000), shufflenet(2)
    hub.mkdir(parents=True)
    torch.save(source.state_dict(), hub / "net.pth")
    prefix = hashlib.sha256((hub / "net.pth").read_bytes()).hexdigest()[:10]
    cached = (hub / "net.pth").rename(hub / f"net-{prefix}.pth")
    weights = models.ShuffleNet_V2_X0_5_Weights
    monkeypatch.setattr(weights.DEFAULT.value, "url", f"https://weights.invalid/{cached.name}")
    assert load_pretrained(model, SHUFFLENET, "default") == f"torchvision {weights.DEFAULT}"
    assert equal(body(model), body(source))


def test_a_damaged_file_in_the_cache_is_not_used(hub: Path) -> None:
    cached = hub / "shufflenetv2_x0.5-f707e7126e.pth"
    hub.mkdir(parents=True)
    cached.write_bytes(b"half a file")
    with pytest.raises(WeightsError, match="cannot download"):
        load_pretrained(shufflenet(1), SHUFFLENET, "default")
    assert cached.read_bytes() == b"half a file"


def test_without_a_network_the_error_comes_at_once_and_names_the_three_ways_out(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", no_rest)
    with pytest.raises(WeightsError) as caught:
        load_pretrained(shufflenet(1), SHUFFLENET, "default")
    assert "https://download.pytorch.org/models/shufflenetv2_x0.5-f707e7126e.pth" in caught.value.message
    assert "refused" in caught.value.message
    assert "`weights` FILE" in caught.value.hint
    assert str(hub / "shufflenetv2_x0.5-f707e7126e.pth") in caught.value.hint
    assert "`strategy` scratch" in caught.value.hint
    assert not list(hub.glob("*"))
