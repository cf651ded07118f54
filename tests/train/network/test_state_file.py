"""Files from strangers: what is harmless is read, and all else is one line."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from pathlib import Path, PosixPath

import numpy as np
import pytest
import torch

from edge_runtime import WeightsError
from edge_train.network.state_file import read_state_file
from edge_train.network.state_names import find_state


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.mkdir, (Path("sprung"),)


def test_what_training_scripts_keep_beside_their_tensors_is_read(tmp_path: Path) -> None:
    """All that torch.load refuses by itself: flags of argparse, a path, numbers of numpy."""
    beside = {
        "args": argparse.Namespace(model="resnet18", output_dir=PosixPath("out")),
        "best": np.float64(0.5),
        "history": np.arange(3),
    }
    torch.save({"model": {"weight": torch.ones(2)}, **beside}, tmp_path / "x.pth")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "x.pth", weights_only=True)
    known = set(torch.serialization.get_safe_globals())
    loaded = read_state_file(tmp_path / "x.pth")
    assert isinstance(loaded, dict)
    assert loaded["args"].model == "resnet18"
    assert torch.equal(find_state(loaded, tmp_path).tensors["weight"], torch.ones(2))
    # What the application lets torch load stays its own affair.
    assert set(torch.serialization.get_safe_globals()) == known


@pytest.mark.parametrize("zipped", [True, False])
def test_code_beside_the_tensors_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    value = {"model": {"weight": torch.ones(2)}, "args": argparse.Namespace(out=Trap())}
    torch.save(value, "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"it holds Python objects \([\w.]+\), which could run code"):
        read_state_file(Path("x.pth"))
    assert not Path("sprung").exists()


def test_an_archive_that_grows_when_it_is_unpacked_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(100_000)}, tmp_path / "x.pth")
    with zipfile.ZipFile(tmp_path / "x.pth") as plain, zipfile.ZipFile(tmp_path / "bomb.pth", "w") as bomb:
        for entry in plain.infolist():
            bomb.writestr(entry.filename, plain.read(entry), zipfile.ZIP_DEFLATED)
    assert (tmp_path / "bomb.pth").stat().st_size < 5_000
    with pytest.raises(WeightsError, match="is a compressed archive"):
        read_state_file(tmp_path / "bomb.pth")


def test_a_tensor_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1).expand(1 << 40)}, tmp_path / "x.pth")
    assert (tmp_path / "x.pth").stat().st_size < 5_000
    with pytest.raises(WeightsError, match=r"claims more values than it holds \(weight\)"):
        find_state(read_state_file(tmp_path / "x.pth"), tmp_path / "x.pth")


def test_a_name_that_is_a_bomb_is_refused_at_once(tmp_path: Path) -> None:
    torch.save({f"{'x.' * 50_000}weight": torch.ones(1)}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="a tensor whose name is 100,006 letters long"):
        find_state(read_state_file(tmp_path / "x.pth"), tmp_path / "x.pth")


def test_a_torchscript_program_is_called_one(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/code/__torch__.py", "class Net:\n")
    with pytest.raises(WeightsError, match="is a TorchScript program"):
        read_state_file(tmp_path / "x.pt")


def test_safetensors_that_are_damaged_are_one_line(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    for content in (b"", b"\xff" * 64, b"\x10\0\0\0\0\0\0\0{}"):
        (tmp_path / "x.safetensors").write_bytes(content)
        with pytest.raises(WeightsError, match="damaged or not a safetensors file") as caught:
            read_state_file(tmp_path / "x.safetensors")
        assert "\n" not in str(caught.value)
