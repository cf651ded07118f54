"""Checkpoints load without running code, and a failed write leaves the old one."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from edge_runtime import CheckpointError, ModelCard, OutputError, Preprocessing  # noqa: E402
from edge_train import Checkpoint, Network, build, find_backbone, load_checkpoint, save_checkpoint  # noqa: E402


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    made = Network(build(find_backbone("squeezenet1_1"), classes=3), mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.2))
    card = ModelCard(
        labels=("a", "b", 'ç, "d"'),
        preprocessing=Preprocessing(resize_px=36, height_px=32, width_px=32, interpolation="bilinear"),
        backbone="squeezenet1_1",
        strategy="scratch",
        normalization={"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.2]},
    )
    return Checkpoint(card, made.state_dict(), 3, {"optimizer": {"state": {}}})


def test_what_is_saved_is_loaded(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "best.pt", checkpoint)
    loaded = load_checkpoint(tmp_path / "best.pt")
    assert (loaded.card, loaded.epoch, loaded.training) == (checkpoint.card, 3, {"optimizer": {"state": {}}})
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    assert torch.equal(loaded.build()(images), checkpoint.build()(images))
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]


def test_it_is_plain_data(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "best.pt", checkpoint)
    value = torch.load(tmp_path / "best.pt", weights_only=True)
    assert value["edge_checkpoint"] == 1 and value["card"]["labels"][2] == 'ç, "d"'


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("owned"),)


def test_hostile_and_damaged_files_are_refused(checkpoint: Checkpoint, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_checkpoint(tmp_path / "good.pt", checkpoint)
    whole = (tmp_path / "good.pt").read_bytes()
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    torch.save({"edge_checkpoint": 1, "card": Evil()}, tmp_path / "evil2.pt")
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pt").touch()
    (tmp_path / "text.pt").write_text("hello")
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "foreign.pt")
    torch.save({"edge_checkpoint": 1}, tmp_path / "hollow.pt")
    torch.save({"edge_checkpoint": 99}, tmp_path / "newer.pt")
    names = ("evil", "evil2", "half", "empty", "text", "foreign", "hollow", "newer", "absent")
    for name in names:
        with pytest.raises(CheckpointError, match=name):
            load_checkpoint(tmp_path / f"{name}.pt")
    assert not (tmp_path / "owned").exists()
    with pytest.raises(CheckpointError, match="format 99"):
        load_checkpoint(tmp_path / "newer.pt")


def test_labels_that_do_not_match_the_head_are_refused(checkpoint: Checkpoint) -> None:
    wrong = replace(checkpoint, card=replace(checkpoint.card, labels=("a", "b")))
    with pytest.raises(CheckpointError, match="2 labels"):
        wrong.build()


def test_a_folder_that_cannot_be_written_is_one_clear_error(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="gone"):
        save_checkpoint(tmp_path / "gone" / "best.pt", checkpoint)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"best\.pt"):
        save_checkpoint(tmp_path / "file" / "best.pt", checkpoint)


def test_a_full_disk_leaves_the_old_checkpoint(checkpoint: Checkpoint, tmp_path: Path) -> None:
    import resource

    save_checkpoint(tmp_path / "best.pt", checkpoint)
    old = (tmp_path / "best.pt").read_bytes()
    import signal

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(old) // 2, limits[1]))
        with pytest.raises(OutputError, match=r"best\.pt"):
            save_checkpoint(tmp_path / "best.pt", replace(checkpoint, epoch=4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "best.pt").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]
